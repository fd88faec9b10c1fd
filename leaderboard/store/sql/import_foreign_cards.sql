-- Of the sources and tasks of an import, those whose card came from a run, or from another import.
SELECT 'source_models' AS kind, name
FROM source_models
WHERE name IN (SELECT unnest($sources::VARCHAR[])) AND coalesce(facts ->> 'imported', '') <> $name
UNION ALL
SELECT 'tasks', name
FROM tasks
WHERE name IN (SELECT unnest($tasks::VARCHAR[])) AND coalesce(facts ->> 'imported', '') <> $name;
