-- Version 5. `converged` is the adaptation of the scratch reference that trains until it has
-- converged; NULL where it was planned before there was one.
ALTER TABLE jobs ADD COLUMN converged VARCHAR;
