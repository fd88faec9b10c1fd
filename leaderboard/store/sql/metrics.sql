-- What jobs measured, in the order in which it was recorded.
SELECT job, split, metric, value
FROM metrics
WHERE job IN (SELECT unnest($jobs::VARCHAR[]))
ORDER BY rowid;
