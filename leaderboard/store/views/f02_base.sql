-- f02_base: F2, gains of chains over their base, where the base is pre-trained; one row for each chain, target, adaptation, size and
-- seed. `validation` (times sign, higher is better) is what the best chain is chosen on.
CREATE OR REPLACE VIEW f02_base AS
SELECT
    s.task,
    s.adaptation,
    s.size,
    s.seed,
    s.protocol,
    s.metric,
    s.base,
    s.source,
    s.validation,
    s.gain_abs,
    s.gain_rel,
    s.small_target,
    s.target_domain,
    s.job
FROM step_gains s
JOIN source_models b ON b.name = s.base
WHERE s.reference = 'base' AND NOT coalesce(b.random, false);
