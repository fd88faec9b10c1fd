-- f01_scratch: F1, gains over scratch; one row for each source, target, adaptation, size and seed. `validation` (times sign, higher
-- is better) is what the best source is chosen on, so that the choice does not flatter the gain.
CREATE OR REPLACE VIEW f01_scratch AS
SELECT
    g.task,
    g.adaptation,
    g.size,
    g.seed,
    g.protocol,
    g.metric,
    g.source,
    c.sign * c.validation AS validation,
    g.gain_abs,
    g.gain_rel,
    g.small_target,
    g.target_domain,
    g.job
FROM gains g
JOIN cells c ON c.job = g.job
WHERE g.reference = 'scratch';
