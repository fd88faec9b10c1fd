-- The jobs in some states, with why.
SELECT state, kind, source, task, adaptation, size, seed, error, reason, log, job
FROM jobs
WHERE state IN (SELECT unnest($states::VARCHAR[]))
ORDER BY ALL;
