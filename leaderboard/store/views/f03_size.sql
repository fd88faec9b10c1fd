-- f03_size: F3, one row for each gain of a source of one task whose domain and number of images are
-- known: how well its domain matches the target's, and how large it is.
--
-- `match` is 2 within-domain, 1 including, 0 cross-domain. Gains are ranked among the rows of one
-- group of `paired_gains`.
CREATE OR REPLACE VIEW f03_size AS
SELECT
    task, family, adaptation, size, seed, protocol, metric, unit, architecture, base, source,
    CASE domain_relation WHEN 'within-domain' THEN 2 WHEN 'including' THEN 1 ELSE 0 END AS match,
    source_images, gain_abs, gain_norm, small_target, target_domain, job
FROM step_gains
WHERE NOT multi_source AND domain_relation IS NOT NULL AND source_images IS NOT NULL;
