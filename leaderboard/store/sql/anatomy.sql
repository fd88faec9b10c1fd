-- What analyses read off networks, one row a reading and cell; and, as the analysis 'convergence', the validation curves of analysed
-- sources (P-T) and of their scratch references (RI-T), by epoch.
WITH curve AS (
    SELECT g.*, 'P-T' AS subject, g.job AS trained FROM gains g WHERE g.reference = 'scratch'
    UNION ALL
    SELECT g.*, 'RI-T', g.reference_job FROM gains g WHERE g.reference = 'scratch'
)
SELECT analysis, source, task, adaptation, size, seed, protocol, metric, sign, subject, quantity, module, x, value, small_target, target_domain
FROM analysed
UNION ALL
SELECT 'convergence', g.source, g.task, g.adaptation, g.size, g.seed, g.protocol, g.metric, j.sign, g.subject, 'validation', '', p.epoch, p.value,
       g.small_target, g.target_domain
FROM curve g
JOIN jobs j ON j.job = g.trained
JOIN curves p ON p.job = g.trained AND p.split = 'validation' AND p.metric = g.metric
WHERE EXISTS (FROM analysed a WHERE a.source = g.source AND a.adaptation = g.adaptation AND a.size = g.size AND a.protocol = g.protocol)
ORDER BY ALL;
