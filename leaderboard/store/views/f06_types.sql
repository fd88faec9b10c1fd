-- f06_types: F6, one row for each gain of a within-domain source of one task whose type is not the
-- target's: on a target, under an adaptation, size and seed.
CREATE OR REPLACE VIEW f06_types AS
SELECT
    task, family, adaptation, size, seed, protocol, metric, unit, architecture, base, source,
    gain_abs, gain_norm, small_target, target_domain, job
FROM step_gains
WHERE NOT multi_source AND cross_task_type AND domain_relation = 'within-domain';
