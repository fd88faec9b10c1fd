-- step_gains: one row for each cell with a reference: what the last training of its source brought.
-- For a chain that is the gain over its base, for any other source the gain over scratch.
--
-- Mensink et al. (2022) measure transfer so, over what the network was before its source step.
-- `score` and `validation` are the metric on test and validation, times sign, so that higher is
-- better; `parts` is how many tasks a chain's last stage had, 0 where the source was not made here.
-- Rows with the same task, adaptation, size, seed, protocol, metric, architecture and base differ
-- in the source step alone: `paired_gains` and the findings compare them.
CREATE OR REPLACE VIEW step_gains AS
SELECT
    g.task,
    g.adaptation,
    g.size,
    g.seed,
    g.protocol,
    g.metric,
    g.unit,
    g.architecture,
    g.base,
    g.source,
    g.gain_abs,
    g.gain_norm,
    g.value_norm,
    c.sign * c.value AS score,
    c.sign * c.validation AS validation,
    g.domain_relation,
    g.source_images,
    g.multi_source,
    coalesce(len(g.chain_tasks), 0) AS parts,
    g.cross_task_type,
    g.direction,
    g.train_size,
    g.small_target,
    g.target_domain,
    g.family,
    g.reference,
    g.job
FROM gains g
JOIN cells c ON c.job = g.job
WHERE g.reference = CASE WHEN g.base IS NULL THEN 'scratch' ELSE 'base' END;
