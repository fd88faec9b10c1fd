-- Published values as finished jobs of an import: without times, since nothing ran here. A value
-- that is there already is replaced. `arriving` (the values that are new or changed),
-- `import_sources` and `import_tasks` (cards), `parents` and `known_domains` are registered by the
-- caller.
DELETE FROM metrics WHERE job IN (SELECT job FROM arriving);

UPDATE jobs SET
    state = 'done',
    note = a.note,
    sign = a.sign,
    train_images = a.train_images,
    run = a.run
FROM arriving a
WHERE jobs.job = a.job;

INSERT INTO jobs BY NAME
SELECT
    a.job, a.kind, a.source, a.task, a.adaptation, '' AS control, a.size, a.seed, a.protocol,
    a.metric, a.sign, a.run, 'done' AS state, a.train_images, a.note
FROM arriving a ANTI JOIN jobs ON jobs.job = a.job;

INSERT INTO metrics BY NAME SELECT job, split, metric, value FROM arriving;

INSERT OR REPLACE INTO source_models BY NAME FROM import_sources;
INSERT OR REPLACE INTO tasks BY NAME FROM import_tasks;
DELETE FROM domains WHERE domain IN (SELECT domain FROM known_domains);
INSERT INTO domains BY NAME FROM parents;
