-- unpaired: one row for each measured cell and each reference, 'scratch' or 'base', that it has no
-- gain over, because that reference is missing, failed, or was measured under another protocol.
--
-- Random sources and cells of published tables need no reference and are not listed.
CREATE OR REPLACE VIEW unpaired AS
WITH expected_references AS (
    SELECT c.*, 'scratch' AS reference, s.scratch AS reference_source
    FROM cells c
    JOIN source_models s ON s.name = c.source
    WHERE NOT coalesce(s.random, false) AND c.origin = 'measured'
    UNION ALL
    SELECT c.*, 'base', s.base
    FROM cells c
    JOIN source_models s ON s.name = c.source
    WHERE s.base IS NOT NULL AND c.origin = 'measured'
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
FROM expected_references e
WHERE NOT EXISTS (FROM gains g WHERE g.job = e.job AND g.reference = e.reference)
ORDER BY source, task, adaptation, size, seed;
