-- Version 5. What the scratch reference that trains until it has converged runs; NULL before it was planned.
ALTER TABLE jobs ADD COLUMN converged VARCHAR;
