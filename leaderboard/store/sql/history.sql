-- What done jobs cost: forecasts are made of this. `images` is how many the training or extraction
-- processed; where there was neither (a probe), how many it was allowed.
SELECT
    j.kind,
    j.source,
    j.task,
    CASE WHEN j.analysis <> '' THEN j.analysis ELSE j.adaptation END AS adaptation,
    j.size,
    j.seconds,
    CASE WHEN j.images > 0 THEN j.images ELSE coalesce(j.train_images, 0) END AS images,
    coalesce(s.architecture, '') AS architecture,
    TRY_CAST(r.spec ->> 'image_size' AS INTEGER) AS image_size
FROM jobs j
LEFT JOIN source_models s ON s.name = j.source
LEFT JOIN runs r ON r.run = j.run
WHERE j.state = 'done' AND j.seconds IS NOT NULL;
