-- f03_domain: F3, one row for each group of `paired_gains` with both within-domain and cross-domain
-- sources. difference = mean gain within - mean gain cross.
CREATE OR REPLACE VIEW f03_domain AS
SELECT
    task, family, adaptation, size, seed, protocol, metric, unit, architecture, base,
    within_abs, cross_abs, within_norm, cross_norm, within_sources, cross_sources,
    small_target, target_domain,
    within_abs - cross_abs AS difference_abs,
    within_norm - cross_norm AS difference_norm
FROM paired_gains
WHERE within_sources > 0 AND cross_sources > 0;
