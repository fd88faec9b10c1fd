-- scenarios: one row for each gain and each scenario it is in, so that scenarios can be filtered by
-- and averaged over.
--
-- A gain is in several: a chain on two tasks for a target of 50 images is 'multi-source' and
-- 'small-target' and perhaps 'within-domain'. See `gains` for what each means. `scenarios_of` is
-- the list of names that those columns come to.
CREATE OR REPLACE MACRO scenarios_of(
    domain_relation, multi_source, small_target, cross_task_type, direction
) AS list_filter([
    domain_relation,
    CASE WHEN multi_source THEN 'multi-source' END,
    CASE WHEN small_target THEN 'small-target' ELSE 'full-target' END,
    CASE WHEN cross_task_type THEN 'cross-task-type' END,
    direction
], lambda scenario: scenario IS NOT NULL);

CREATE OR REPLACE VIEW scenarios AS
SELECT
    job,
    reference,
    unnest(
        scenarios_of(domain_relation, multi_source, small_target, cross_task_type, direction)
    ) AS scenario
FROM gains;
