-- Version 7. Tasks of one family are variants of one another: where other targets are spoken of, a
-- family counts once. NULL where the card is older: then the task is its own family.
ALTER TABLE tasks ADD COLUMN family VARCHAR;
