-- f10_shuffle: F10, one row for each analysis and block size in pixels: the advantage of the
-- transferred network over the scratch one on images cut into such blocks and shuffled.
--
-- `transferred` and `scratch` are the metric times sign. `intact` is the row whose block is the
-- whole image. advantage_abs = transferred - scratch; advantage_rel divides it by |scratch| on
-- intact images, one scale for all block sizes.
CREATE OR REPLACE VIEW f10_shuffle AS
WITH signed_scores AS (
    SELECT * REPLACE (sign * transferred AS transferred, sign * scratch AS scratch)
    FROM paired_readings
    WHERE analysis = 'block_shuffle' AND quantity = 'metric' AND x IS NOT NULL
        AND transferred IS NOT NULL AND scratch IS NOT NULL
)
SELECT
    source, task, adaptation, size, seed, protocol, metric,
    x AS block,
    transferred, scratch, small_target, target_domain, job,
    x = max(x) OVER (PARTITION BY job) AS intact,
    transferred - scratch AS advantage_abs,
    (transferred - scratch) / nullif(abs(arg_max(scratch, x) OVER (PARTITION BY job)), 0)
        AS advantage_rel
FROM signed_scores;
