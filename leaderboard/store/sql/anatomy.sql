-- What analyses read off networks, one row a reading and cell; and, as the analysis 'convergence',
-- the validation curves of analysed sources (P-T) and of their scratch references (RI-T), by epoch.
WITH trained_networks AS (
    SELECT g.*, 'P-T' AS subject, g.job AS training_job FROM gains g WHERE g.reference = 'scratch'
    UNION ALL
    SELECT g.*, 'RI-T', g.reference_job FROM gains g WHERE g.reference = 'scratch'
)
SELECT
    analysis, source, task, adaptation, size, seed, protocol, metric, sign,
    subject, quantity, module, x, value, small_target, target_domain, family
FROM analysed
UNION ALL
SELECT
    'convergence', n.source, n.task, n.adaptation, n.size, n.seed, n.protocol, n.metric, j.sign,
    n.subject, 'validation', '', c.epoch, c.value, n.small_target, n.target_domain, n.family
FROM trained_networks n
JOIN jobs j ON j.job = n.training_job
JOIN curves c ON c.job = n.training_job AND c.split = 'validation' AND c.metric = n.metric
WHERE EXISTS (
    FROM analysed a
    WHERE a.source = n.source
        AND a.adaptation = n.adaptation
        AND a.size = n.size
        AND a.protocol = n.protocol
)
ORDER BY ALL;
