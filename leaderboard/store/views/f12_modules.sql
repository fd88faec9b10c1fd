-- f12_modules: F12, one row for each analysis, network (P-T, RI-T) and module: how much the metric
-- drops where this module of the trained network is set back to its initial values.
--
-- `depth` goes from 0 to 1; `head` is the deepest module.
CREATE OR REPLACE VIEW f12_modules AS
SELECT
    source, task, family, adaptation, size, seed, protocol, metric, subject, module,
    x AS depth,
    x = max(x) OVER (PARTITION BY job, subject) AS head,
    value AS drop,
    small_target, target_domain, job
FROM analysed
WHERE analysis = 'criticality' AND quantity = 'drop' AND x IS NOT NULL;
