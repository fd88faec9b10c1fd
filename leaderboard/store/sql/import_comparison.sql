-- What the store knows of the values of an import: new, same, or changed (another value or note, or
-- not done for some reason), and which values it holds of this import that the table does not have
-- now. `arriving` is registered by the caller: a row a value, numbered by `place`, in whose order
-- the answer is.
SELECT
    a.place,
    CASE
        WHEN j.job IS NULL THEN 'new'
        WHEN j.state = 'done'
            AND m.value IS NOT DISTINCT FROM a.value
            AND coalesce(j.note, '') = a.note
            AND j.sign = a.sign
            AND j.train_images IS NOT DISTINCT FROM a.train_images
        THEN 'same'
        ELSE 'changed'
    END AS comparison
FROM arriving a
LEFT JOIN jobs j ON j.job = a.job
LEFT JOIN (SELECT job, any_value(value) AS value FROM metrics GROUP BY job) m ON m.job = a.job
UNION ALL
SELECT NULL, 'kept'
FROM (SELECT * FROM jobs WHERE protocol IN (SELECT DISTINCT protocol FROM arriving)) j
ANTI JOIN arriving a ON a.job = j.job
ORDER BY place NULLS LAST;
