-- relations: one row for each source and task, measured or not: what the source is to the task,
-- from their cards alone.
--
-- `domain_relation` and `cross_task_type` as in `gains`: a source counts by where it was last
-- trained, a chain by all tasks of its last stage. NULL where a card names no domain, or no type.
CREATE OR REPLACE VIEW relations AS
WITH chain_stages AS (
    SELECT name AS source, unnest(chain_tasks) AS task
    FROM source_models
    WHERE chain_tasks IS NOT NULL
), last_stages AS (
    -- Where each source was last trained: one row for each domain and type of its last stage.
    SELECT name AS source, domain, task_type AS type
    FROM source_models
    WHERE chain_tasks IS NULL
    UNION ALL
    SELECT c.source, t.domain, t.type
    FROM chain_stages c
    LEFT JOIN tasks t ON t.name = c.task
), stage_summaries AS (
    SELECT
        p.source,
        t.name AS task,
        bool_and(coalesce(p.domain = t.domain, false)) AS all_match,
        bool_or(
            p.domain = t.domain
            OR EXISTS (FROM domains d WHERE d.domain = t.domain AND d.contained_in = p.domain)
        ) AS any_includes,
        bool_and(p.domain IS NOT NULL AND t.domain IS NOT NULL) AS all_have_domains,
        bool_and(p.type <> t.type) AS cross_task_type
    FROM last_stages p
    CROSS JOIN tasks t
    GROUP BY ALL
)
SELECT
    source,
    task,
    CASE
        WHEN all_match THEN 'within-domain'
        WHEN any_includes THEN 'including'
        WHEN all_have_domains THEN 'cross-domain'
    END AS domain_relation,
    cross_task_type
FROM stage_summaries;
