-- f05_multi: F5, the multi-source chain of most tasks beside the largest within-domain source of one task; one row for each target,
-- adaptation, size, seed, architecture and base that has a multi-source chain. difference = its gain - the other's, NULL where there
-- is no within-domain source.
CREATE OR REPLACE VIEW f05_multi AS
WITH ranked AS (
    SELECT *, row_number() OVER (
        PARTITION BY task, adaptation, size, seed, protocol, metric, architecture, base, multi_source
        ORDER BY CASE WHEN multi_source THEN parts ELSE coalesce(source_images, 0) END DESC, source
    ) AS place
    FROM step_gains
    WHERE multi_source OR domain_relation = 'within-domain'
)
SELECT
    m.task,
    m.adaptation,
    m.size,
    m.seed,
    m.protocol,
    m.metric,
    m.architecture,
    m.base,
    m.source AS multi,
    w.source AS largest_within,
    m.gain_abs,
    m.gain_rel,
    w.gain_abs AS within_abs,
    w.gain_rel AS within_rel,
    m.gain_abs - w.gain_abs AS difference_abs,
    m.gain_rel - w.gain_rel AS difference_rel,
    m.small_target,
    m.target_domain
FROM ranked m
LEFT JOIN ranked w
    ON NOT w.multi_source AND w.place = 1 AND w.task = m.task AND w.adaptation = m.adaptation AND w.size = m.size
    AND w.seed IS NOT DISTINCT FROM m.seed AND w.protocol = m.protocol AND w.metric = m.metric
    AND w.architecture IS NOT DISTINCT FROM m.architecture AND w.base IS NOT DISTINCT FROM m.base
WHERE m.multi_source AND m.place = 1;
