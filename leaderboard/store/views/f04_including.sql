-- f04_including: F4, one row for each group of `paired_gains` with sources whose domain includes
-- the target's. gain = their mean gain; cost = mean gain of within-domain sources - that, NULL
-- where there is none.
CREATE OR REPLACE VIEW f04_including AS
SELECT
    task, family, adaptation, size, seed, protocol, metric, unit, architecture, base,
    including_abs AS gain_abs, including_norm AS gain_norm,
    within_abs, within_norm, including_sources, small_target, target_domain,
    within_abs - including_abs AS cost_abs,
    within_norm - including_norm AS cost_norm
FROM paired_gains
WHERE including_sources > 0;
