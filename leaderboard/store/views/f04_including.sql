-- f04_including: F4, sources of one task whose domain includes the target's; one row for each target, adaptation, size, seed,
-- architecture and base that has one. gain = mean gain of the including sources; cost = mean gain of the within-domain sources
-- less that, NULL where there is none.
CREATE OR REPLACE VIEW f04_including AS
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
        avg(gain_abs) FILTER (domain_relation = 'including') AS gain_abs,
        avg(gain_rel) FILTER (domain_relation = 'including') AS gain_rel,
        avg(gain_abs) FILTER (domain_relation = 'within-domain') AS within_abs,
        avg(gain_rel) FILTER (domain_relation = 'within-domain') AS within_rel,
        count(*) FILTER (domain_relation = 'including') AS including_sources,
        any_value(small_target) AS small_target,
        any_value(target_domain) AS target_domain
    FROM step_gains
    WHERE NOT multi_source
    GROUP BY ALL
)
SELECT *, within_abs - gain_abs AS cost_abs, within_rel - gain_rel AS cost_rel
FROM means
WHERE including_sources > 0;
