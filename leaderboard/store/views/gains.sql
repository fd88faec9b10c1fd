-- gains: one row for each cell and reference, the two cells side by side; none where the reference
-- was not measured (see `unpaired`).
--
-- gain_abs = sign * (value - reference_value)
-- with sign +1 for metrics that should be high and -1 for those that should be low: a positive gain
-- is always better.
-- gain_norm = normalised value - normalised value of the reference, on the target's scale (see
-- `scales`): the share of what lies between the floor and the best value there, or for errors
-- ln(reference_value / value). Gains of unlike metrics or units are averaged so. NULL where the
-- target has no scale. `value_norm` is the normalised value.
--
-- A cell and its reference share task, size, seed, protocol and metric. Three
-- references:
--   'scratch'    the same architecture from random initialisation, trained by the adaptation's
--                control for the same budget: how much faster transfer is
--   'converged'  the same, trained until its validation stopped improving, for at most 16 times the
--                budget: how much better transfer is
--   'base'     for chains, the base weights without the source step, adapted the same way; a base
--              that is itself random runs the control, since training all of a random network is
--              from_scratch whatever it is called
-- reference_rising: the reference's validation was still getting better when its training ended, so
-- that a longer one would shrink the gain.
-- A cell is never its own reference, so a random source has no row.
--
-- Scenarios, from cards alone (the view `relations` has what a source is to a task, `scenarios` one
-- row for each that a gain is in):
--   domain_relation  'within-domain' (the source's domain = the target's), 'including' (it contains
--                    the target's), 'cross-domain', or NULL where a card names no domain. A chain
--                    counts by the domains of its last stage's tasks: within-domain where all are
--                    the target's, including where one is or contains it, cross-domain where none
--                    does.
--   multi_source     the chain's last stage was trained jointly on two tasks or more
--   small_target     at most the run's small_target training images (150 unless its spec says
--                    otherwise, after Agostinelli et al. 2022)
--   cross_task_type  the source was last trained on another type of task than the target's
--   direction        'larger-to-smaller' or 'smaller-to-larger', by the source's training images
--                    and the cell's
-- family: the target's; targets of one family are variants of one another (PACS's four domains),
-- and count as one where other targets are spoken of.
-- chained: the source was made here, by a source step on `chain_tasks` from `base`.
CREATE OR REPLACE VIEW gains AS
WITH reference_coordinates AS (
    SELECT
        c.job,
        'scratch' AS reference,
        s.scratch AS reference_source,
        c.control AS reference_adaptation
    FROM cells c
    JOIN source_models s ON s.name = c.source
    UNION ALL
    SELECT c.job, 'converged', s.scratch, c.converged
    FROM cells c
    JOIN source_models s ON s.name = c.source
    WHERE NOT coalesce(s.random, false)
    UNION ALL
    SELECT c.job, 'base', s.base, CASE WHEN b.random THEN c.control ELSE c.adaptation END
    FROM cells c
    JOIN source_models s ON s.name = c.source
    JOIN source_models b ON b.name = s.base
)
SELECT
    c.source,
    c.task,
    c.adaptation,
    c.train_size,
    c.size,
    c.seed,
    c.metric,
    c.unit,
    c.value,
    w.reference,
    r.value AS reference_value,
    r.rising AS reference_rising,
    c.sign * (c.value - r.value) AS gain_abs,
    normalised_value(c.value, c.sign, z.is_logarithmic, z.floor, z.span) AS value_norm,
    value_norm - normalised_value(r.value, c.sign, z.is_logarithmic, z.floor, z.span)
        AS gain_norm,
    c.validation,
    c.seconds,
    s.architecture,
    s.domain AS source_domain,
    t.domain AS target_domain,
    coalesce(t.family, c.task) AS family,
    p.domain_relation,
    s.images AS source_images,
    coalesce(len(s.chain_tasks), 0) > 1 AS multi_source,
    c.train_size <= coalesce(TRY_CAST(u.spec ->> 'small_target' AS INTEGER), 150)
        AS small_target,
    coalesce(p.cross_task_type, false) AS cross_task_type,
    CASE
        WHEN s.images > c.train_size THEN 'larger-to-smaller'
        WHEN s.images < c.train_size THEN 'smaller-to-larger'
    END AS direction,
    s.base IS NOT NULL AS chained,
    s.base,
    s.chain_tasks,
    c.protocol,
    c.job,
    r.job AS reference_job,
    c.run
FROM cells c
JOIN reference_coordinates w ON w.job = c.job
JOIN cells r
    ON r.source = w.reference_source
    AND r.adaptation = w.reference_adaptation
    AND r.task = c.task
    AND r.size = c.size
    AND r.seed IS NOT DISTINCT FROM c.seed
    AND r.protocol = c.protocol
    AND r.metric = c.metric
JOIN source_models s ON s.name = c.source
LEFT JOIN scales z
    ON z.task = c.task
    AND z.metric = c.metric
    AND z.sign = c.sign
    AND z.published = CASE WHEN c.origin = 'imported' THEN c.protocol ELSE '' END
LEFT JOIN tasks t ON t.name = c.task
LEFT JOIN relations p ON p.source = c.source AND p.task = c.task
LEFT JOIN runs u ON u.run = c.run
WHERE r.job <> c.job;
