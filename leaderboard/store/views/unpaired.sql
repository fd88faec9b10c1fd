-- unpaired: cells that were measured but have no gain over 'scratch' or 'base', because that reference is missing, failed, or
-- was measured under another protocol. Random sources and cells of published tables want no reference and are not listed.
CREATE OR REPLACE VIEW unpaired AS
WITH wanted AS (
    SELECT c.*, 'scratch' AS reference, s.scratch AS reference_source, c.control AS reference_adaptation
    FROM cells c JOIN source_models s ON s.name = c.source
    WHERE NOT coalesce(s.random, false) AND c.origin = 'measured'
    UNION ALL
    SELECT c.*, 'base', s.base, c.adaptation
    FROM cells c JOIN source_models s ON s.name = c.source WHERE s.base IS NOT NULL AND c.origin = 'measured'
)
SELECT
    source,
    task,
    adaptation,
    size,
    seed,
    metric,
    value,
    reference,
    reference_source,
    job
FROM wanted w
WHERE NOT EXISTS (FROM gains g WHERE g.job = w.job AND g.reference = w.reference)
ORDER BY source, task, adaptation, size, seed;
