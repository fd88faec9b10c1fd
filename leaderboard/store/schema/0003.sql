-- Version 3. Estimates, imported tables, and what is to be known of a recorded value.

-- What is to be known of a value: that it lies outside its range, that it tells little. The value
-- itself stays as it was recorded.
ALTER TABLE jobs ADD COLUMN note VARCHAR DEFAULT '';

-- run, select, adapt or import.
ALTER TABLE runs ADD COLUMN kind VARCHAR DEFAULT 'run';
