-- The latest cards win. `sources`, `targets`, `parents` (domain, contained_in) and `known_domains`
-- are registered by the caller.
INSERT OR REPLACE INTO source_models BY NAME FROM sources;
INSERT OR REPLACE INTO tasks BY NAME FROM targets;
DELETE FROM domains WHERE domain IN (SELECT domain FROM known_domains);
INSERT INTO domains BY NAME FROM parents;
