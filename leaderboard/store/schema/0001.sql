-- Version 1. Raw rows only: what was asked, what was measured, on what. Views interpret. Times are
-- UTC.

-- One row for the file: its version, and the fingerprint of the views it holds.
CREATE TABLE schema_version (version INTEGER NOT NULL, views VARCHAR NOT NULL);

-- One `headwater run` each.
CREATE TABLE runs (
    run VARCHAR PRIMARY KEY,
    name VARCHAR NOT NULL,
    spec JSON NOT NULL,
    started TIMESTAMP NOT NULL,
    ended TIMESTAMP,
    state VARCHAR NOT NULL,
    version VARCHAR NOT NULL,
    git_commit VARCHAR,
    git_dirty BOOLEAN,
    packages JSON,
    machine JSON,
    gpu VARCHAR
);

-- One job each, under the hash of all that decides its result. `run` planned it last; `size` is as
-- asked; `train_images` is how many images of the target it was allowed; `choice` is what it chose
-- on validation.
CREATE TABLE jobs (
    job VARCHAR PRIMARY KEY,
    kind VARCHAR NOT NULL,
    source VARCHAR NOT NULL,
    task VARCHAR NOT NULL,
    adaptation VARCHAR NOT NULL,
    control VARCHAR NOT NULL,
    size VARCHAR NOT NULL,
    seed INTEGER,
    setup VARCHAR NOT NULL,
    metric VARCHAR NOT NULL,
    sign TINYINT NOT NULL,
    options JSON,
    run VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    reason VARCHAR NOT NULL DEFAULT '',
    error VARCHAR NOT NULL DEFAULT '',
    log VARCHAR NOT NULL DEFAULT '',
    started TIMESTAMP,
    seconds DOUBLE,
    images BIGINT,
    peak_memory_mb DOUBLE,
    device VARCHAR NOT NULL DEFAULT '',
    train_images INTEGER,
    choice JSON,
    attempts INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE metrics (
    job VARCHAR NOT NULL,
    split VARCHAR NOT NULL,
    metric VARCHAR NOT NULL,
    value DOUBLE
);

CREATE TABLE curves (
    job VARCHAR NOT NULL,
    epoch INTEGER NOT NULL,
    split VARCHAR NOT NULL,
    metric VARCHAR NOT NULL,
    value DOUBLE
);

-- Files a job left, by role (checkpoint, predictions, features), relative to the folder beside the
-- store.
CREATE TABLE artifacts (job VARCHAR NOT NULL, role VARCHAR NOT NULL, path VARCHAR NOT NULL);

-- The cards, for joins. `scratch` and `base` name the sources that gains are measured against.
CREATE TABLE source_models (
    name VARCHAR PRIMARY KEY,
    architecture VARCHAR,
    pretrained_on VARCHAR[],
    domain VARCHAR,
    task_type VARCHAR,
    images BIGINT,
    licence VARCHAR,
    parameters BIGINT,
    accuracy DOUBLE,
    input_size INTEGER,
    scratch VARCHAR,
    base VARCHAR,
    chain_tasks VARCHAR[],
    random BOOLEAN,
    facts JSON
);

-- `classes` is how many there are.
CREATE TABLE tasks (
    name VARCHAR PRIMARY KEY,
    domain VARCHAR,
    type VARCHAR,
    metric VARCHAR,
    images BIGINT,
    classes INTEGER,
    licence VARCHAR,
    revision VARCHAR,
    facts JSON
);

-- One row for each domain that contains another, transitively.
CREATE TABLE domains (domain VARCHAR NOT NULL, contained_in VARCHAR NOT NULL);
