-- Version 6. What unlike metrics are brought to one scale by: the unit of a job's metric ('' for
-- none), and the metric's bounds (NULL for none). `metrics` has a split 'floor' beside: what is
-- reached on test without a look at an image.
ALTER TABLE jobs ADD COLUMN unit VARCHAR DEFAULT '';
ALTER TABLE jobs ADD COLUMN lowest DOUBLE;
ALTER TABLE jobs ADD COLUMN highest DOUBLE;
