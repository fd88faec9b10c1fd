-- f03_domain: F3, one row for each group of `paired_gains` with both within-domain and cross-domain
-- sources. difference = mean gain within - mean gain cross.
CREATE OR REPLACE VIEW f03_domain AS
SELECT
    task, adaptation, size, seed, protocol, metric, architecture, base,
    within_abs, cross_abs, within_rel, cross_rel, within_sources, cross_sources,
    small_target, target_domain,
    within_abs - cross_abs AS difference_abs,
    within_rel - cross_rel AS difference_rel
FROM paired_gains
WHERE within_sources > 0 AND cross_sources > 0;
