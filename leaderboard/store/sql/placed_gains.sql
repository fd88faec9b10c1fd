-- The gains that standings, groups and attributions are made of, against one reference.
SELECT
    g.source, g.task, g.adaptation, g.size, g.seed, g.protocol, g.metric, g.unit, c.sign,
    g.gain_abs, g.gain_norm, g.value_norm, g.seconds, g.value, g.reference_value, g.reference_job,
    r.seconds AS reference_seconds, g.family,
    coalesce(g.reference_rising, false) AS reference_rising,
    g.target_domain, g.small_target, g.domain_relation, g.base, g.chain_tasks,
    scenarios_of(
        g.domain_relation, g.multi_source, g.small_target, g.cross_task_type, g.direction
    ) AS scenarios
FROM gains g
JOIN cells c ON c.job = g.job
JOIN cells r ON r.job = g.reference_job AND r.metric = g.metric
WHERE g.reference = $reference
ORDER BY ALL;
