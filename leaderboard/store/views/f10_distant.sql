-- f10_distant: F10, one row for each gain over scratch of a cross-domain source: on a target, under
-- an adaptation, size and seed.
CREATE OR REPLACE VIEW f10_distant AS
SELECT
    task, family, adaptation, size, seed, protocol, metric, unit, source,
    gain_abs, gain_norm, source_domain, target_domain, small_target, job
FROM gains
WHERE reference = 'scratch' AND domain_relation = 'cross-domain';
