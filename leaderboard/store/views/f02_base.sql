-- f02_base: F2, one row for each gain of a chain over its pre-trained base: on a target, under an
-- adaptation, size and seed.
--
-- The best chain is chosen on `validation` (times sign, higher is better).
CREATE OR REPLACE VIEW f02_base AS
SELECT
    s.task, s.family, s.adaptation, s.size, s.seed, s.protocol, s.metric, s.unit, s.base, s.source,
    s.validation, s.gain_abs, s.gain_norm, s.small_target, s.target_domain, s.job
FROM step_gains s
JOIN source_models b ON b.name = s.base
WHERE s.reference = 'base' AND NOT coalesce(b.random, false);
