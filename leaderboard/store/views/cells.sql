-- cells: one row for each finished measurement of source x task x adaptation x size x seed.
--
-- `value` is the task's metric on the test split, `validation` the same metric on validation. Where
-- several done jobs share their coordinates (a plugin was edited in between), the one that started
-- last counts. `protocol` is the hash of what comparable cells share besides their coordinates: the
-- task's data, the image size, the training budget. `origin`: 'measured' here, or 'imported' from a
-- published table (`headwater import`). An imported cell shares its protocol with that import only:
-- it is never paired with a measured one, and has no gain where the table has no reference.
-- `converged`: the adaptation of the reference that is trained until it has converged; NULL or
-- empty for none. `unit`: what the metric is counted in, '' for none; `lowest` and `highest`: its
-- bounds, NULL for none. `rising`: validation was still getting better when the training ended.
CREATE OR REPLACE VIEW cells AS
WITH split_values AS (
    SELECT job, split, metric, any_value(value) AS value
    FROM metrics
    GROUP BY ALL
)
SELECT
    j.job,
    j.source,
    j.task,
    j.adaptation,
    j.control,
    j.converged,
    j.train_images AS train_size,
    j.size,
    j.seed,
    j.protocol,
    j.metric,
    j.sign,
    coalesce(j.unit, '') AS unit,
    j.lowest,
    j.highest,
    test.value,
    validation.value AS validation,
    TRY_CAST(j.choice ->> 'rising' AS BOOLEAN) AS rising,
    j.seconds,
    j.images,
    j.peak_memory_mb,
    j.device,
    j.started,
    j.run,
    CASE WHEN r.kind = 'import' THEN 'imported' ELSE 'measured' END AS origin
FROM jobs j
JOIN split_values test
    ON test.job = j.job AND test.split = 'test' AND test.metric = j.metric
LEFT JOIN runs r ON r.run = j.run
LEFT JOIN split_values validation
    ON validation.job = j.job
    AND validation.split = 'validation'
    AND validation.metric = j.metric
WHERE j.kind = 'adapt' AND j.state = 'done'
    AND test.value IS NOT NULL AND NOT isnan(test.value)
QUALIFY row_number() OVER (
    PARTITION BY j.source, j.task, j.adaptation, j.size, j.seed, j.protocol, j.metric
    ORDER BY j.started DESC NULLS LAST, j.job
) = 1;
