-- What each source is to each task.
SELECT task, source, domain_relation FROM relations;
