-- What selectors are judged by, and what they may know from other targets: the measured cells of
-- one adaptation. A random source runs the adaptation's control (training all of a random network
-- is from_scratch, whatever it is called), and counts as a source too.
--
-- quality  the metric with the sign that makes higher better; validation likewise
-- epochs      those of the budget, as the job recorded them or the spec of its run says; NULL for
--             imported tables
-- image_size  from the spec of the cell's run, NULL for imported tables
WITH controls AS (
    SELECT DISTINCT control FROM cells WHERE adaptation = $adaptation
)
SELECT
    c.job, c.source, c.task, c.size, c.train_size, c.seed, c.protocol, c.metric,
    c.sign * c.value AS quality,
    c.sign * c.validation AS validation,
    c.seconds,
    c.sign,
    p.domain_relation AS relation,
    s.images AS source_images,
    s.base,
    t.images AS task_images,
    t.domain AS target_domain,
    coalesce(
        TRY_CAST(j.choice ->> 'epochs' AS INTEGER),
        TRY_CAST(u.spec -> 'training' ->> 'epochs' AS INTEGER)
    ) AS epochs,
    TRY_CAST(u.spec ->> 'image_size' AS INTEGER) AS image_size,
    c.train_size <= coalesce(TRY_CAST(u.spec ->> 'small_target' AS INTEGER), 150) AS small_target
FROM cells c
JOIN jobs j ON j.job = c.job
LEFT JOIN source_models s ON s.name = c.source
LEFT JOIN tasks t ON t.name = c.task
LEFT JOIN relations p ON p.source = c.source AND p.task = c.task
LEFT JOIN runs u ON u.run = c.run
WHERE c.adaptation = $adaptation OR (s.random AND c.adaptation IN (FROM controls))
ORDER BY ALL;
