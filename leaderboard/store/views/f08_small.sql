-- f08_small: F8, one row for each source, target, adaptation and seed: the source on a small subset
-- of the target, and on most of it. difference = gain small - gain full.
--
-- Small is the smallest small-target size that the target was measured at under this adaptation and
-- protocol, full the largest that is not small. `small_validation`, `small_score` and `full_score`
-- are the metric (times sign, higher is better) on validation at the small size and on test at
-- both: sources are screened by the first. `full_norm` and `small_norm` are gains on the target's
-- scale, `full_norm_value` is the value itself there (see `scales`).
CREATE OR REPLACE VIEW f08_small AS
WITH extreme_sizes AS (
    SELECT
        task, adaptation, protocol, metric,
        min(train_size) FILTER (small_target) AS small_images,
        max(train_size) FILTER (NOT small_target) AS full_images
    FROM step_gains
    GROUP BY ALL
)
SELECT
    task, s.family, adaptation, s.seed, protocol, metric, s.unit, source,
    small_images,
    full_images,
    s.gain_abs AS small_abs,
    f.gain_abs AS full_abs,
    s.gain_norm AS small_norm,
    f.gain_norm AS full_norm,
    s.gain_abs - f.gain_abs AS difference_abs,
    s.gain_norm - f.gain_norm AS difference_norm,
    f.value_norm AS full_norm_value,
    s.validation AS small_validation,
    s.score AS small_score,
    f.score AS full_score,
    s.target_domain
FROM extreme_sizes
JOIN step_gains s USING (task, adaptation, protocol, metric)
JOIN step_gains f USING (task, adaptation, protocol, metric, source)
WHERE s.train_size = small_images AND f.train_size = full_images
    AND f.seed IS NOT DISTINCT FROM s.seed;
