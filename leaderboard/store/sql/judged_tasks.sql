-- The tasks' cards as they were recorded; imported tasks are in no registry.
FROM tasks;
