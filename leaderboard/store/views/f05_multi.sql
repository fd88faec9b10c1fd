-- f05_multi: F5, one row for each group of gains that differ in the source step alone and have a
-- multi-source chain: the chain of most tasks beside the largest within-domain source of one task.
-- difference = gain of the chain - gain of that source, NULL where there is no such source.
CREATE OR REPLACE VIEW f05_multi AS
WITH best_equipped AS (
    -- Each is a whole row of `step_gains`.
    SELECT
        task, family, adaptation, size, seed, protocol, metric, unit, architecture, base,
        first(s ORDER BY parts DESC, source) FILTER (multi_source) AS chain,
        first(s ORDER BY coalesce(source_images, 0) DESC, source) FILTER (
            NOT multi_source AND domain_relation = 'within-domain'
        ) AS largest
    FROM step_gains s
    GROUP BY ALL
)
SELECT
    task, family, adaptation, size, seed, protocol, metric, unit, architecture, base,
    chain.source AS multi,
    largest.source AS largest_within,
    chain.gain_abs AS gain_abs,
    chain.gain_norm AS gain_norm,
    largest.gain_abs AS within_abs,
    largest.gain_norm AS within_norm,
    chain.gain_abs - largest.gain_abs AS difference_abs,
    chain.gain_norm - largest.gain_norm AS difference_norm,
    chain.small_target AS small_target,
    chain.target_domain AS target_domain
FROM best_equipped
WHERE chain IS NOT NULL;
