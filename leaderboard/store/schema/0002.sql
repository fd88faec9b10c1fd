-- Version 2. Analyses of trained networks, hyper-parameter trials, and how many images a job
-- decoded.

-- Which analysis an analyse job is (block_shuffle, similarity, ...); '' for every other kind.
ALTER TABLE jobs ADD COLUMN analysis VARCHAR DEFAULT '';
ALTER TABLE jobs ADD COLUMN decoded BIGINT DEFAULT 0;

-- What an analysis read off networks. `subject`: which networks ('P-T', 'P-T/RI-T'); `module`:
-- which part, '' for the whole; `x`: where along an axis (block size, place on a path), NULL where
-- there is none.
CREATE TABLE readings (
    job VARCHAR NOT NULL,
    subject VARCHAR NOT NULL,
    quantity VARCHAR NOT NULL,
    module VARCHAR NOT NULL,
    x DOUBLE,
    value DOUBLE
);

-- The hyper-parameter trials of tuned jobs, in order: `value` is the best validation metric reached
-- in `epochs` epochs; `state` is finished, stopped (by the scheduler) or failed.
CREATE TABLE trials (
    job VARCHAR NOT NULL,
    trial INTEGER NOT NULL,
    config JSON NOT NULL,
    epochs INTEGER NOT NULL,
    value DOUBLE,
    seconds DOUBLE NOT NULL,
    state VARCHAR NOT NULL,
    reason VARCHAR NOT NULL DEFAULT '',
    chosen BOOLEAN NOT NULL
);
