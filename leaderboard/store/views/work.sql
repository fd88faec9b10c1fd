-- work: one row for each kind of work that is done once and shared: how much of it was done, and
-- how many jobs used it, to show that nothing was decoded, extracted or trained twice.
--
-- `work`      'decoding' images, extracting 'features', 'pretraining' chains
-- `made`      how many: images decoded, feature sets extracted, chains trained. Data decoded for an
--             earlier store lie in the node's cache still, so `made` may be 0
-- `again`     how often one was made once more: attempts beyond the first of each (after an
--             interruption, or with --rerun); NULL for decoding, which image sizes and nodes repeat
--             rightly
-- `tasks`     distinct tasks that were decoded (those of the jobs that decoded any image),
--             extracted from, or trained on
-- `seconds`   of the jobs that made them; NULL for decoding, which is part of the jobs that needed
--             it first
-- `used_by`   jobs that read decoded images; cells that read features (measured without feeding one
--             image through a network themselves), and estimates; cells of chains
CREATE OR REPLACE VIEW work AS
WITH finished_jobs AS (
    SELECT
        j.*,
        CASE WHEN j.kind = 'pretrain' THEN string_split(j.task, '+') ELSE [j.task] END AS tasks
    FROM jobs j
    LEFT JOIN runs r ON r.run = j.run
    -- What was published took no work here.
    WHERE j.state = 'done' AND coalesce(r.kind, '') <> 'import'
), chain_cells AS (
    SELECT count(*) AS cells
    FROM finished_jobs f
    JOIN source_models s ON s.name = f.source
    WHERE f.kind = 'adapt' AND s.chain_tasks IS NOT NULL
)
SELECT
    'decoding' AS work,
    coalesce(sum(decoded), 0)::BIGINT AS made,
    NULL::BIGINT AS again,
    coalesce(len(list_distinct(flatten(list(tasks) FILTER (decoded > 0)))), 0) AS tasks,
    NULL::DOUBLE AS seconds,
    count(*) FILTER (
        kind IN ('adapt', 'pretrain', 'features') OR (kind = 'analyse' AND images > 0)
    ) AS used_by
FROM finished_jobs
UNION ALL
SELECT
    'features',
    count(*) FILTER (kind = 'features'),
    coalesce(sum(attempts - 1) FILTER (kind = 'features' AND attempts > 1), 0)::BIGINT,
    count(DISTINCT task) FILTER (kind = 'features'),
    coalesce(sum(seconds) FILTER (kind = 'features'), 0),
    count(*) FILTER ((kind = 'adapt' AND coalesce(images, 0) = 0) OR kind = 'estimate')
FROM finished_jobs
UNION ALL
SELECT
    'pretraining',
    count(*) FILTER (kind = 'pretrain'),
    coalesce(sum(attempts - 1) FILTER (kind = 'pretrain' AND attempts > 1), 0)::BIGINT,
    coalesce(len(list_distinct(flatten(list(tasks) FILTER (kind = 'pretrain')))), 0),
    coalesce(sum(seconds) FILTER (kind = 'pretrain'), 0),
    (SELECT cells FROM chain_cells)
FROM finished_jobs;
