-- failures: one row for each job that failed, and why.
--
-- `headwater run SPEC --rerun failed` tries them again.
CREATE OR REPLACE VIEW failures AS
SELECT
    job, kind, source, task, adaptation, size, seed,
    error, reason, log, attempts, started, seconds, run
FROM jobs
WHERE state = 'failed'
ORDER BY started;
