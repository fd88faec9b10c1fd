-- Cells without a gain: failed, or measured without a reference (`unpaired`). Their scenarios
-- follow from the cards, as those of `gains` do; a cell that failed before it knew its images has
-- as many as were asked for.
WITH missing_gains AS (
    SELECT job, 'failed' AS why FROM jobs WHERE kind = 'adapt' AND state = 'failed'
    UNION ALL
    SELECT job, 'unpaired' FROM unpaired WHERE reference = $reference
), described_cells AS (
    SELECT
        j.source,
        j.task,
        j.adaptation,
        j.size,
        a.why,
        t.domain AS target_domain,
        r.domain_relation,
        coalesce(r.cross_task_type, false) AS cross_task_type,
        coalesce(len(s.chain_tasks), 0) > 1 AS multi_source,
        coalesce(j.train_images, try_cast(j.size AS INTEGER)) AS train_size,
        coalesce(
            train_size <= coalesce(try_cast(u.spec ->> 'small_target' AS INTEGER), 150), false
        ) AS small_target,
        CASE
            WHEN s.images > train_size THEN 'larger-to-smaller'
            WHEN s.images < train_size THEN 'smaller-to-larger'
        END AS direction
    FROM missing_gains a
    JOIN jobs j ON j.job = a.job
    LEFT JOIN tasks t ON t.name = j.task
    LEFT JOIN source_models s ON s.name = j.source
    LEFT JOIN relations r ON r.source = j.source AND r.task = j.task
    LEFT JOIN runs u ON u.run = j.run
)
SELECT
    source, task, adaptation, size, why, target_domain, small_target,
    scenarios_of(
        domain_relation, multi_source, small_target, cross_task_type, direction
    ) AS scenarios
FROM described_cells;
