-- What estimators said, and what it cost: `seconds` of the score itself, `feature_seconds` of the
-- features it was read off, which all estimators of a source on the same images share. Imported
-- scores have no cost, and belong to the cells of their own import: `protocol`, NULL for measured
-- ones.
SELECT
    e.source, e.task, e.estimator, e.score, e.size, e.seed, e.seconds, e.feature_seconds,
    TRY_CAST(u.spec ->> 'image_size' AS INTEGER) AS image_size,
    CASE WHEN e.origin = 'imported' THEN e.protocol END AS protocol
FROM estimates e
LEFT JOIN runs u ON u.run = e.run
WHERE e.score IS NOT NULL
ORDER BY ALL;
