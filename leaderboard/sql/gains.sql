-- The gains that standings are made of, against one reference.
SELECT source, task, adaptation, size, seed, setup, metric, gain_abs, gain_rel, seconds, value, reference_value, reference_job,
       target_domain, small_target, domain_relation
FROM gains
WHERE reference = ?
ORDER BY ALL;
