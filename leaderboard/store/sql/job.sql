-- The job whose identity starts with $start (two rows where several do), with the spec of its run,
-- the type of its target, the epoch that was chosen on validation, and the files it left.
SELECT
    j.*,
    r.spec AS run_spec,
    t.type AS task_type,
    TRY_CAST(j.choice ->> 'epoch' AS INTEGER) AS chosen_epoch,
    (SELECT json_group_object(role, path) FROM artifacts a WHERE a.job = j.job) AS job_artifacts
FROM jobs j
LEFT JOIN runs r ON r.run = j.run
LEFT JOIN tasks t ON t.name = j.task
WHERE starts_with(j.job, $start)
LIMIT 2;
