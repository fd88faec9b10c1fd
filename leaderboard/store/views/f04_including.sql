-- f04_including: F4, one row for each group of `paired_gains` with sources whose domain includes
-- the target's. gain = their mean gain; cost = mean gain of within-domain sources - that, NULL
-- where there is none.
CREATE OR REPLACE VIEW f04_including AS
SELECT
    task, adaptation, size, seed, protocol, metric, architecture, base,
    including_abs AS gain_abs, including_rel AS gain_rel,
    within_abs, within_rel, including_sources, small_target, target_domain,
    within_abs - including_abs AS cost_abs,
    within_rel - including_rel AS cost_rel
FROM paired_gains
WHERE including_sources > 0;
