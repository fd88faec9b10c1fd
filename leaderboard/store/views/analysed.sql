-- analysed: one row for each reading of a done analysis, with the cell that it is about.
--
-- Of several analyses with the same coordinates, the one that started last counts.
CREATE OR REPLACE VIEW analysed AS
WITH latest_analyses AS (
    SELECT *
    FROM jobs
    WHERE kind = 'analyse' AND state = 'done'
    QUALIFY row_number() OVER (
        PARTITION BY analysis, source, task, adaptation, size, seed, protocol, metric
        ORDER BY started DESC NULLS LAST, job
    ) = 1
)
SELECT
    j.analysis,
    j.source,
    j.task,
    j.adaptation,
    j.size,
    j.seed,
    j.protocol,
    j.metric,
    j.sign,
    r.subject,
    r.quantity,
    r.module,
    r.x,
    r.value,
    coalesce(
        coalesce(j.train_images, TRY_CAST(j.size AS INTEGER))
            <= coalesce(TRY_CAST(u.spec ->> 'small_target' AS INTEGER), 150),
        false
    ) AS small_target,
    t.domain AS target_domain,
    coalesce(t.family, j.task) AS family,
    j.job
FROM latest_analyses j
JOIN readings r ON r.job = j.job
LEFT JOIN tasks t ON t.name = j.task
LEFT JOIN runs u ON u.run = j.run
WHERE r.value IS NOT NULL AND NOT isnan(r.value);
