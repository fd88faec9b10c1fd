-- f10_shuffle: F10, the advantage of the transferred network (P-T) over the scratch one (RI-T) on images cut into blocks and shuffled;
-- one row for each analysis and block size in pixels. `intact` is the row whose block is the whole image.
--
-- advantage_abs = sign * (P-T - RI-T); advantage_rel divides it by |RI-T| on intact images, one scale for all block sizes.
CREATE OR REPLACE VIEW f10_shuffle AS
WITH paired AS (
    SELECT
        source,
        task,
        adaptation,
        size,
        seed,
        protocol,
        metric,
        x AS block,
        any_value(sign) * any_value(value) FILTER (subject = 'P-T') AS transferred,
        any_value(sign) * any_value(value) FILTER (subject = 'RI-T') AS scratch,
        any_value(small_target) AS small_target,
        any_value(target_domain) AS target_domain,
        job
    FROM analysed
    WHERE analysis = 'block_shuffle' AND quantity = 'metric' AND x IS NOT NULL
    GROUP BY ALL
)
SELECT
    *,
    block = max(block) OVER (PARTITION BY job) AS intact,
    transferred - scratch AS advantage_abs,
    (transferred - scratch) / nullif(abs(first_value(scratch) OVER (PARTITION BY job ORDER BY block DESC)), 0) AS advantage_rel
FROM paired
WHERE transferred IS NOT NULL AND scratch IS NOT NULL;
