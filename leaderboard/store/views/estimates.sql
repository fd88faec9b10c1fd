-- estimates: one row for each score that an estimator gave a source for a task, without training.
-- Higher is better.
--
-- `estimator` is its name with options. A pooled estimator (etran) records parts instead of a
-- score: each is scaled to [0, 1] over the sources that have it for the same task, size, seed and
-- protocol, and they are added up, so that its scores belong to that pool. `feature_seconds` is
-- what it took to extract the features of the images that the estimator read: of a job that
-- extracted more, its share. `note` says where a value lies outside the estimator's range, or tells
-- little. `origin`: 'measured' here, or 'imported' from a published table.
CREATE OR REPLACE VIEW estimates AS
WITH latest_estimates AS (
    SELECT *
    FROM jobs
    WHERE kind = 'estimate' AND state = 'done'
    QUALIFY row_number() OVER (
        PARTITION BY source, task, adaptation, size, seed, protocol
        ORDER BY started DESC NULLS LAST, job
    ) = 1
), score_parts AS (
    SELECT
        j.source, j.task, j.adaptation AS estimator, j.size, j.seed, j.protocol,
        j.train_images, j.seconds, j.note, j.job, j.run, j.choice,
        m.metric AS part,
        any_value(m.value) AS value
    FROM latest_estimates j
    JOIN metrics m ON m.job = j.job
    GROUP BY ALL
), scaled_parts AS (
    SELECT * REPLACE (
        CASE
            WHEN part = 'score' THEN value
            ELSE coalesce(
                (value - min(value) OVER pool)
                    / nullif(max(value) OVER pool - min(value) OVER pool, 0),
                0
            )
        END AS value
    )
    FROM score_parts
    -- On all images a fixed source has one score for all seeds, a random one a score for each.
    WINDOW pool AS (
        PARTITION BY
            task, estimator, size, CASE WHEN size = 'full' THEN NULL ELSE seed END, protocol, part
    )
)
SELECT
    s.source,
    s.task,
    s.estimator,
    sum(s.value) AS score,
    s.size,
    s.train_images AS train_size,
    s.seed,
    s.protocol,
    s.seconds,
    any_value(f.seconds * least(1, s.train_images / nullif(f.images, 0))) AS feature_seconds,
    s.note,
    s.job,
    s.run,
    CASE WHEN r.kind = 'import' THEN 'imported' ELSE 'measured' END AS origin
FROM scaled_parts s
LEFT JOIN runs r ON r.run = s.run
LEFT JOIN jobs f ON f.job = s.choice ->> 'features'
GROUP BY ALL;
