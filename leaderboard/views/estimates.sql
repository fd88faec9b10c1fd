-- estimates: the score an estimator gave a source for a task, and what it cost; no training was involved.
CREATE OR REPLACE VIEW estimates AS
SELECT j.source, j.task, m.metric AS estimator, m.value AS score, j.seconds, j.size, j.seed, j.job
FROM jobs j
JOIN metrics m ON m.job = j.job
WHERE j.kind = 'estimate' AND j.state = 'done';
