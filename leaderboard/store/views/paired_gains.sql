-- paired_gains: one row for each group of gains that differ in the source step alone (see
-- `step_gains`): the mean gain of its sources of one task, by what they are to the target.
--
-- Each kind of source has its mean gain (`_abs`; `_norm` on the target's scale), NULL where the
-- group has none, and how many there are (`_sources`): within, including and cross by domain;
-- larger and smaller by whether they had more training images than the target, or fewer. F3, F4 and
-- F7 are each two of the kinds.
CREATE OR REPLACE VIEW paired_gains AS
SELECT
    task, family, adaptation, size, seed, protocol, metric, unit, architecture, base,
    avg(gain_abs) FILTER (domain_relation = 'within-domain') AS within_abs,
    avg(gain_norm) FILTER (domain_relation = 'within-domain') AS within_norm,
    count(*) FILTER (domain_relation = 'within-domain') AS within_sources,
    avg(gain_abs) FILTER (domain_relation = 'including') AS including_abs,
    avg(gain_norm) FILTER (domain_relation = 'including') AS including_norm,
    count(*) FILTER (domain_relation = 'including') AS including_sources,
    avg(gain_abs) FILTER (domain_relation = 'cross-domain') AS cross_abs,
    avg(gain_norm) FILTER (domain_relation = 'cross-domain') AS cross_norm,
    count(*) FILTER (domain_relation = 'cross-domain') AS cross_sources,
    avg(gain_abs) FILTER (direction = 'larger-to-smaller') AS larger_abs,
    avg(gain_norm) FILTER (direction = 'larger-to-smaller') AS larger_norm,
    count(*) FILTER (direction = 'larger-to-smaller') AS larger_sources,
    avg(gain_abs) FILTER (direction = 'smaller-to-larger') AS smaller_abs,
    avg(gain_norm) FILTER (direction = 'smaller-to-larger') AS smaller_norm,
    count(*) FILTER (direction = 'smaller-to-larger') AS smaller_sources,
    any_value(small_target) AS small_target,
    any_value(target_domain) AS target_domain
FROM step_gains
WHERE NOT multi_source
GROUP BY ALL;
