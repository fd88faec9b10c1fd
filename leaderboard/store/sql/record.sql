-- Outcomes replace what was known of their jobs; what was measured stays until something else is:
-- views only look at done jobs. `outcomes` and the tables `new_...` are registered by the caller.
UPDATE jobs SET
    state = o.state,
    reason = o.reason,
    error = o.error,
    log = o.log,
    started = coalesce(o.started, jobs.started),
    seconds = o.seconds,
    images = o.images,
    peak_memory_mb = o.peak_memory_mb,
    device = o.device,
    train_images = o.train_images,
    decoded = o.decoded,
    choice = o.choice,
    note = o.note,
    attempts = jobs.attempts + o.attempts
FROM outcomes o
WHERE jobs.job = o.job;

DELETE FROM metrics WHERE job IN (SELECT job FROM outcomes WHERE state = 'done');
DELETE FROM curves WHERE job IN (SELECT job FROM outcomes WHERE state = 'done');
DELETE FROM readings WHERE job IN (SELECT job FROM outcomes WHERE state = 'done');
DELETE FROM trials WHERE job IN (SELECT job FROM outcomes WHERE state = 'done');
DELETE FROM artifacts WHERE job IN (SELECT job FROM outcomes WHERE state = 'done');
INSERT INTO metrics BY NAME FROM new_metrics;
INSERT INTO curves BY NAME FROM new_curves;
INSERT INTO readings BY NAME FROM new_readings;
INSERT INTO trials BY NAME FROM new_trials;
INSERT INTO artifacts BY NAME FROM new_artifacts;
