-- f09_convergence: F9, one row for each gain over scratch whose both trainings left curves: how
-- soon the pre-trained network got where its scratch reference got.
--
-- On the validation metric of each epoch: `scratch_epochs` is the epoch at which scratch reached
-- its best, `epochs` the first at which the pre-trained network was as good, `reached` whether it
-- ever was. One that never was counts as one epoch more than it ran. `seconds` are those of
-- training up to there. `own_epochs` and `scratch_own_epochs`: the first within 5 % of the
-- network's own best. difference = scratch_epochs - epochs, and likewise for seconds and own
-- epochs: positive is faster.
CREATE OR REPLACE VIEW f09_convergence AS
WITH training_seconds AS (
    SELECT job, epoch, sum(any_value(value)) OVER (PARTITION BY job ORDER BY epoch) AS seconds
    FROM curves
    WHERE split = 'train' AND metric = 'seconds'
    GROUP BY job, epoch
), epoch_scores AS (
    SELECT
        c.job,
        v.epoch,
        c.sign * any_value(v.value) AS score,
        any_value(t.seconds) AS seconds
    FROM cells c
    JOIN curves v ON v.job = c.job AND v.split = 'validation' AND v.metric = c.metric
    LEFT JOIN training_seconds t ON t.job = v.job AND t.epoch = v.epoch
    WHERE NOT isnan(v.value)
    GROUP BY c.job, c.sign, v.epoch
), best_scores AS (
    SELECT job, max(score) AS best, max(epoch) AS last_epoch, max(seconds) AS total_seconds
    FROM epoch_scores
    GROUP BY job
), reaching_own_best AS (
    SELECT
        e.job,
        min(e.epoch) FILTER (e.score >= b.best) AS epochs,
        min(e.seconds) FILTER (e.score >= b.best) AS seconds,
        min(e.epoch) FILTER (e.score >= b.best - 0.05 * abs(b.best)) AS own_epochs
    FROM epoch_scores e
    JOIN best_scores b ON b.job = e.job
    GROUP BY e.job
), reaching_scratch AS (
    SELECT
        g.task, g.adaptation, g.size, g.seed, g.protocol, g.metric, g.source,
        coalesce(
            min(e.epoch) FILTER (e.score >= scratch_best.best),
            any_value(best.last_epoch) + 1
        ) AS epochs,
        any_value(scratch.epochs) AS scratch_epochs,
        count(*) FILTER (e.score >= scratch_best.best) > 0 AS reached,
        coalesce(
            min(e.seconds) FILTER (e.score >= scratch_best.best),
            any_value(best.total_seconds) * (1 + 1 / any_value(best.last_epoch))
        ) AS seconds,
        any_value(scratch.seconds) AS scratch_seconds,
        any_value(transferred.own_epochs) AS own_epochs,
        any_value(scratch.own_epochs) AS scratch_own_epochs,
        any_value(g.small_target) AS small_target,
        any_value(g.target_domain) AS target_domain,
        any_value(g.family) AS family,
        g.job,
        g.reference_job
    FROM gains g
    JOIN epoch_scores e ON e.job = g.job
    JOIN best_scores best ON best.job = g.job
    JOIN best_scores scratch_best ON scratch_best.job = g.reference_job
    JOIN reaching_own_best transferred ON transferred.job = g.job
    JOIN reaching_own_best scratch ON scratch.job = g.reference_job
    WHERE g.reference = 'scratch'
    GROUP BY ALL
)
SELECT
    *,
    scratch_epochs - epochs AS difference_epochs,
    scratch_seconds - seconds AS difference_seconds,
    scratch_own_epochs - own_epochs AS difference_own_epochs
FROM reaching_scratch;
