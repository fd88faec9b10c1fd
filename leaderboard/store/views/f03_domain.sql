-- f03_domain: F3, within-domain against cross-domain sources of one task each; one row for each target, adaptation, size, seed,
-- architecture and base that has both. difference = mean gain within - mean gain cross.
CREATE OR REPLACE VIEW f03_domain AS
WITH means AS (
    SELECT
        task,
        adaptation,
        size,
        seed,
        protocol,
        metric,
        architecture,
        base,
        avg(gain_abs) FILTER (domain_relation = 'within-domain') AS within_abs,
        avg(gain_abs) FILTER (domain_relation = 'cross-domain') AS cross_abs,
        avg(gain_rel) FILTER (domain_relation = 'within-domain') AS within_rel,
        avg(gain_rel) FILTER (domain_relation = 'cross-domain') AS cross_rel,
        count(*) FILTER (domain_relation = 'within-domain') AS within_sources,
        count(*) FILTER (domain_relation = 'cross-domain') AS cross_sources,
        any_value(small_target) AS small_target,
        any_value(target_domain) AS target_domain
    FROM step_gains
    WHERE NOT multi_source
    GROUP BY ALL
)
SELECT *, within_abs - cross_abs AS difference_abs, within_rel - cross_rel AS difference_rel
FROM means
WHERE within_sources > 0 AND cross_sources > 0;
