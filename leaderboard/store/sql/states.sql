-- Where every job stands, with the files it left.
SELECT j.job, j.state, j.reason, j.error, j.log, j.seconds, j.attempts, a.artifacts
FROM jobs j
LEFT JOIN (
    SELECT job, json_group_object(role, path) AS artifacts FROM artifacts GROUP BY job
) a ON a.job = j.job;
