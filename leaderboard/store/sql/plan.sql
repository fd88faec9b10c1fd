-- New jobs come in as planned; known ones that are unfinished, or in `reset_jobs`, go back to
-- planned under this run. Measurements stay until a new outcome replaces them: views only look at
-- jobs that are done. `planned` and `reset_jobs` are registered.
UPDATE jobs SET state = 'planned', run = p.run
FROM planned p
WHERE jobs.job = p.job
    AND (
        jobs.state NOT IN ('done', 'failed', 'skipped')
        OR jobs.job IN (SELECT job FROM reset_jobs)
    );

-- What a card says now of unit and bounds: no measurement depends on it.
UPDATE jobs SET unit = p.unit, lowest = p.lowest, highest = p.highest
FROM planned p
WHERE jobs.job = p.job
    AND (
        jobs.unit IS DISTINCT FROM p.unit
        OR jobs.lowest IS DISTINCT FROM p.lowest
        OR jobs.highest IS DISTINCT FROM p.highest
    );

INSERT INTO jobs BY NAME
SELECT p.*, 'planned' AS state FROM planned p ANTI JOIN jobs ON jobs.job = p.job;
