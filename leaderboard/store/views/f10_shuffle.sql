-- f10_shuffle: F10, one row for each analysis and block size in pixels: the advantage of the
-- transferred network over the scratch one on images cut into such blocks and shuffled.
--
-- `transferred` and `scratch` are the metric times sign. `intact` is the row whose block is the
-- whole image. advantage_abs = transferred - scratch; advantage_norm is the same on the
-- target's scale (see `scales`).
CREATE OR REPLACE VIEW f10_shuffle AS
WITH signed_scores AS (
    SELECT
        p.* REPLACE (p.sign * transferred AS transferred, p.sign * scratch AS scratch),
        coalesce(z.unit, '') AS unit,
        normalised_value(p.transferred, p.sign, z.is_logarithmic, z.floor, z.span)
            - normalised_value(p.scratch, p.sign, z.is_logarithmic, z.floor, z.span)
            AS advantage_norm
    FROM paired_readings p
    LEFT JOIN scales z
        ON z.task = p.task AND z.metric = p.metric AND z.sign = p.sign AND z.published = ''
    WHERE analysis = 'block_shuffle' AND quantity = 'metric' AND x IS NOT NULL
        AND transferred IS NOT NULL AND scratch IS NOT NULL
)
SELECT
    source, task, family, adaptation, size, seed, protocol, metric, unit,
    x AS block,
    transferred, scratch, small_target, target_domain, job,
    x = max(x) OVER (PARTITION BY job) AS intact,
    transferred - scratch AS advantage_abs,
    advantage_norm
FROM signed_scores;
