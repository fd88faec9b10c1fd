-- scales: one row for each task and metric: the scale on which unlike metrics compare.
--
--   floor           what is reached on test without a look at an image, the mean of what the cells
--                   recorded; where nothing was recorded, 0 for bounded scores
--   best            the best value that was reached there, by any source at any size. A value here
--                   is a mean over seeds, so that one lucky seed does not set the scale
--   span            sign * (best - floor), NULL where it is not above 5 % of what lies between the
--                   floor and perfection: a target on which nothing was learned has no scale, or
--                   its noise would decide every mean
--   is_logarithmic  errors that start at 0 and have no end: they compare by their ratio
--
-- normalised_value: where a value lies on the scale, higher is better.
--   scores   (value - floor) / (best - floor): 0 is the floor, 1 the best. What lies further below
--            the floor than the best lies above it counts as -1: no failed cell decides a mean
--   errors   ln(floor / value), for values between a hundredth and a hundred times of the floor;
--            -ln(value) where no floor was recorded, NULL for an error of 0 then
-- It is NULL where the target has no scale.
--
-- Published tables have a scale each (`published` is their protocol, '' for what was measured
-- here): nobody knows how they measured. Their scores and errors are taken to start at 0.
CREATE OR REPLACE MACRO normalised_value(value, sign, is_logarithmic, floor, span) AS
CASE
    WHEN is_logarithmic AND floor > 0
        THEN -ln(least(greatest(value / floor, 0.01), 100.0))
    WHEN is_logarithmic AND value > 0 THEN -ln(value)
    WHEN NOT is_logarithmic AND span > 0 THEN greatest(sign * (value - floor) / span, -1.0)
END;

CREATE OR REPLACE VIEW scales AS
WITH recorded_floors AS (
    SELECT job, metric, any_value(value) AS floor
    FROM metrics
    WHERE split = 'floor' AND NOT isnan(value)
    GROUP BY ALL
), source_means AS (
    SELECT
        c.task, c.metric, c.size, c.protocol, c.source, c.adaptation, c.sign,
        CASE WHEN c.origin = 'imported' THEN c.protocol ELSE '' END AS published,
        avg(c.value) AS value,
        avg(f.floor) AS floor,
        any_value(CASE WHEN c.origin = 'imported' THEN 0 ELSE c.lowest END) AS lowest,
        any_value(c.highest) AS highest,
        any_value(c.unit) AS unit
    FROM cells c
    LEFT JOIN recorded_floors f ON f.job = c.job AND f.metric = c.metric
    GROUP BY ALL
), extremes AS (
    SELECT
        task, metric, published, sign,
        any_value(unit) AS unit,
        sign * max(sign * value) AS best,
        avg(floor) AS recorded_floor,
        any_value(lowest) AS lowest,
        any_value(highest) AS highest,
        CASE WHEN sign > 0 THEN any_value(highest) ELSE any_value(lowest) END AS perfect
    FROM source_means
    GROUP BY task, metric, published, sign
), floored AS (
    SELECT
        *,
        sign < 0 AND coalesce(lowest = 0, false) AND highest IS NULL AS is_logarithmic,
        CASE
            WHEN recorded_floor IS NOT NULL THEN recorded_floor
            WHEN sign > 0 AND lowest IS NOT NULL THEN greatest(lowest, 0)
            WHEN sign < 0 THEN highest
        END AS floor
    FROM extremes
)
SELECT
    task, metric, published, sign, unit, is_logarithmic, floor,
    recorded_floor IS NOT NULL AS floor_recorded,
    best,
    CASE
        WHEN NOT is_logarithmic AND sign * (best - floor) > 0.05 * coalesce(abs(perfect - floor), 0)
            THEN sign * (best - floor)
    END AS span
FROM floored;
