-- f07_direction: F7, sources of one task with more training images than the target against those with fewer; one row for each target,
-- adaptation, size, seed, architecture and base that has both. difference = mean gain of the larger - mean gain of the smaller.
CREATE OR REPLACE VIEW f07_direction AS
WITH means AS (
    SELECT
        task,
        adaptation,
        size,
        seed,
        protocol,
        metric,
        architecture,
        base,
        avg(gain_abs) FILTER (direction = 'larger-to-smaller') AS larger_abs,
        avg(gain_abs) FILTER (direction = 'smaller-to-larger') AS smaller_abs,
        avg(gain_rel) FILTER (direction = 'larger-to-smaller') AS larger_rel,
        avg(gain_rel) FILTER (direction = 'smaller-to-larger') AS smaller_rel,
        count(*) FILTER (direction = 'larger-to-smaller') AS larger_sources,
        count(*) FILTER (direction = 'smaller-to-larger') AS smaller_sources,
        any_value(small_target) AS small_target,
        any_value(target_domain) AS target_domain
    FROM step_gains
    WHERE NOT multi_source
    GROUP BY ALL
)
SELECT *, larger_abs - smaller_abs AS difference_abs, larger_rel - smaller_rel AS difference_rel
FROM means
WHERE larger_sources > 0 AND smaller_sources > 0;
