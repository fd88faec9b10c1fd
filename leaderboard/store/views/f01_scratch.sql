-- f01_scratch: F1, one row for each gain over scratch: of a source, on a target, under an
-- adaptation, size and seed.
--
-- The best source is chosen on `validation` (times sign, higher is better), so that the choice does
-- not flatter the gain.
CREATE OR REPLACE VIEW f01_scratch AS
SELECT
    g.task, g.family, g.adaptation, g.size, g.seed, g.protocol, g.metric, g.unit, g.source,
    c.sign * c.validation AS validation,
    g.gain_abs, g.gain_norm, g.small_target, g.target_domain, g.job
FROM gains g
JOIN cells c ON c.job = g.job
WHERE g.reference = 'scratch';
