-- relations: what each source is to each task, from their cards alone, whether measured or not.
--
-- `domain_relation` and `cross_task_type` as in `gains`: a source counts by where it was last trained, a chain by all tasks of
-- its last stage. NULL where a card names no domain, or no type.
CREATE OR REPLACE VIEW relations AS
WITH staged AS (
    -- Where each source was last trained: one row for each domain and type of its last stage.
    SELECT name AS source, domain, task_type AS type FROM source_models WHERE chain_tasks IS NULL
    UNION ALL
    SELECT s.name, t.domain, t.type
    FROM (SELECT name, unnest(chain_tasks) AS task FROM source_models WHERE chain_tasks IS NOT NULL) s LEFT JOIN tasks t ON t.name = s.task
), related AS (
    SELECT
        p.source,
        t.name AS task,
        bool_and(coalesce(p.domain = t.domain, false)) AS same,
        bool_or(p.domain = t.domain OR EXISTS (FROM domains d WHERE d.domain = t.domain AND d.contained_in = p.domain)) AS includes,
        bool_and(p.domain IS NOT NULL AND t.domain IS NOT NULL) AS known,
        bool_and(p.type <> t.type) AS cross_task_type
    FROM staged p CROSS JOIN tasks t
    GROUP BY ALL
)
SELECT
    source,
    task,
    CASE WHEN same THEN 'within-domain' WHEN includes THEN 'including' WHEN known THEN 'cross-domain' END AS domain_relation,
    cross_task_type
FROM related;
