-- predictions: one row for each cell that left its predictions: where they lie, relative to the
-- folder of files beside the store.
CREATE OR REPLACE VIEW predictions AS
SELECT a.job, j.source, j.task, j.adaptation, j.size, j.seed, a.path
FROM artifacts a
JOIN jobs j ON j.job = a.job
WHERE a.role = 'predictions' AND j.state = 'done';
