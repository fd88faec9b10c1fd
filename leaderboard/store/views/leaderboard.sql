-- leaderboard: one row for each source, adaptation, size and reference, averaged over the tasks and
-- seeds that the source was measured on.
--
-- Every cell counts the same. `gain_abs` and `value` are NULL where cells have several metrics or
-- units, which do not average; `gain_norm` does. `losing` is the share of cells that lost against
-- the reference, noise included: no probability of negative transfer. `failed` counts this source's
-- failed jobs under that adaptation and size. `headwater leaderboard` counts a family of targets
-- once, adjusts for missing cells, and adds intervals and ties.
CREATE OR REPLACE VIEW leaderboard AS
WITH failure_counts AS (
    SELECT source, adaptation, size, count(*) AS failed
    FROM jobs
    WHERE kind = 'adapt' AND state = 'failed'
    GROUP BY ALL
)
SELECT
    g.source,
    g.adaptation,
    g.size,
    g.reference,
    CASE WHEN count(DISTINCT (g.metric, g.unit)) = 1 THEN avg(g.gain_abs) END AS gain_abs,
    avg(g.gain_norm) AS gain_norm,
    avg((g.gain_abs < 0)::INTEGER) AS losing,
    CASE WHEN count(DISTINCT (g.metric, g.unit)) = 1 THEN avg(g.value) END AS value,
    count(DISTINCT g.task) AS tasks,
    count(DISTINCT g.seed) AS seeds,
    count(*) AS cells,
    coalesce(any_value(f.failed), 0) AS failed,
    avg(g.seconds) AS seconds
FROM gains g
LEFT JOIN failure_counts f
    ON f.source = g.source AND f.adaptation = g.adaptation AND f.size = g.size
GROUP BY g.source, g.adaptation, g.size, g.reference
ORDER BY g.adaptation, g.size, g.reference, gain_abs DESC;
