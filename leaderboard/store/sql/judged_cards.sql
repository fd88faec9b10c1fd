-- The sources' cards as they were recorded; imported sources are in no registry.
SELECT
    name, architecture, pretrained_on, domain, task_type, images, licence, parameters,
    accuracy, input_size, scratch, base, chain_tasks, random
FROM source_models
ORDER BY name;
