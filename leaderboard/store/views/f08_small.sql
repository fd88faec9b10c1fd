-- f08_small: F8, each source on a small subset of a target and on most of it; one row for each source, target, adaptation and seed.
--
-- Small is the smallest small-target size that the target was measured at under this adaptation and protocol, full the largest that
-- is not small. difference = gain small - gain full. `small_validation`, `small_score` and `full_score` are the metric (times sign,
-- higher is better) on validation at the small size and on test at both: sources are screened by the first.
CREATE OR REPLACE VIEW f08_small AS
WITH ends AS (
    SELECT
        task,
        adaptation,
        protocol,
        metric,
        min(train_size) FILTER (small_target) AS small_images,
        max(train_size) FILTER (NOT small_target) AS full_images
    FROM step_gains
    GROUP BY ALL
)
SELECT
    s.task,
    s.adaptation,
    s.seed,
    s.protocol,
    s.metric,
    s.source,
    e.small_images,
    e.full_images,
    s.gain_abs AS small_abs,
    f.gain_abs AS full_abs,
    s.gain_rel AS small_rel,
    f.gain_rel AS full_rel,
    s.gain_abs - f.gain_abs AS difference_abs,
    s.gain_rel - f.gain_rel AS difference_rel,
    s.validation AS small_validation,
    s.score AS small_score,
    f.score AS full_score,
    s.target_domain
FROM ends e
JOIN step_gains s
    ON s.task = e.task AND s.adaptation = e.adaptation AND s.protocol = e.protocol AND s.metric = e.metric AND s.train_size = e.small_images
JOIN step_gains f
    ON f.task = s.task AND f.adaptation = s.adaptation AND f.protocol = s.protocol AND f.metric = s.metric AND f.source = s.source
    AND f.seed IS NOT DISTINCT FROM s.seed AND f.train_size = e.full_images;
