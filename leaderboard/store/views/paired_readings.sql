-- paired_readings: one row for each analysis, quantity, module and x: what was read off the
-- transferred network (P-T), and the same of its scratch reference (RI-T).
--
-- A reading belongs to a network where its subject is that network, or where it is about the images
-- that only this one of the two gets wrong (`mistakes`). `pair_value` is a reading that belongs to
-- both at once, as their agreement does. Each is NULL where the analysis left none.
CREATE OR REPLACE VIEW paired_readings AS
WITH sided_readings AS (
    SELECT
        *,
        CASE
            WHEN subject IN ('P-T', 'RI-T') THEN subject
            WHEN module = 'only-first-wrong' THEN 'P-T'
            WHEN module = 'only-second-wrong' THEN 'RI-T'
            ELSE 'both'
        END AS side,
        CASE
            WHEN module IN ('only-first-wrong', 'only-second-wrong') THEN ''
            ELSE module
        END AS shared_module
    FROM analysed
    WHERE subject IN ('P-T', 'RI-T', 'P-T/RI-T')
)
SELECT
    analysis, source, task, adaptation, size, seed, protocol, metric, sign,
    quantity,
    shared_module AS module,
    x,
    any_value(value) FILTER (side = 'P-T') AS transferred,
    any_value(value) FILTER (side = 'RI-T') AS scratch,
    any_value(value) FILTER (side = 'both') AS pair_value,
    small_target, target_domain, family, job
FROM sided_readings
GROUP BY ALL;
