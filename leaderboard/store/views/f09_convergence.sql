-- f09_convergence: F9, how soon a pre-trained network gets where its scratch reference got; one row for each gain over scratch whose
-- both trainings left curves.
--
-- On the validation metric of each epoch: `scratch_epochs` is the epoch at which scratch reached its best, `epochs` the first at which
-- the pre-trained network was as good, `reached` whether it ever was. One that never was counts as one epoch more than it ran. `seconds`
-- are those of training up to there. `own_epochs` and `scratch_own_epochs`: the first within 5 % of the network's own best.
-- difference = scratch_epochs - epochs, and likewise for seconds and own epochs: positive is faster.
CREATE OR REPLACE VIEW f09_convergence AS
WITH timed AS (
    SELECT job, epoch, sum(any_value(value)) OVER (PARTITION BY job ORDER BY epoch) AS seconds
    FROM curves
    WHERE split = 'train' AND metric = 'seconds'
    GROUP BY job, epoch
), points AS (
    SELECT c.job, v.epoch, c.sign * any_value(v.value) AS score, any_value(t.seconds) AS seconds
    FROM cells c
    JOIN curves v ON v.job = c.job AND v.split = 'validation' AND v.metric = c.metric
    LEFT JOIN timed t ON t.job = v.job AND t.epoch = v.epoch
    WHERE NOT isnan(v.value)
    GROUP BY c.job, c.sign, v.epoch
), bests AS (
    SELECT job, max(score) AS best, max(epoch) AS ran, max(seconds) AS ran_seconds FROM points GROUP BY job
), owns AS (
    SELECT
        p.job,
        min(p.epoch) FILTER (p.score >= b.best) AS epochs,
        min(p.seconds) FILTER (p.score >= b.best) AS seconds,
        min(p.epoch) FILTER (p.score >= b.best - 0.05 * abs(b.best)) AS own_epochs
    FROM points p
    JOIN bests b ON b.job = p.job
    GROUP BY p.job
), paired AS (
    SELECT
        g.task,
        g.adaptation,
        g.size,
        g.seed,
        g.protocol,
        g.metric,
        g.source,
        coalesce(min(p.epoch) FILTER (p.score >= r.best), any_value(b.ran) + 1) AS epochs,
        any_value(s.epochs) AS scratch_epochs,
        count(*) FILTER (p.score >= r.best) > 0 AS reached,
        coalesce(min(p.seconds) FILTER (p.score >= r.best), any_value(b.ran_seconds) * (1 + 1 / any_value(b.ran))) AS seconds,
        any_value(s.seconds) AS scratch_seconds,
        any_value(o.own_epochs) AS own_epochs,
        any_value(s.own_epochs) AS scratch_own_epochs,
        any_value(g.small_target) AS small_target,
        any_value(g.target_domain) AS target_domain,
        g.job,
        g.reference_job
    FROM gains g
    JOIN points p ON p.job = g.job
    JOIN bests b ON b.job = g.job
    JOIN bests r ON r.job = g.reference_job
    JOIN owns o ON o.job = g.job
    JOIN owns s ON s.job = g.reference_job
    WHERE g.reference = 'scratch'
    GROUP BY ALL
)
SELECT
    *,
    scratch_epochs - epochs AS difference_epochs,
    scratch_seconds - seconds AS difference_seconds,
    scratch_own_epochs - own_epochs AS difference_own_epochs
FROM paired;
