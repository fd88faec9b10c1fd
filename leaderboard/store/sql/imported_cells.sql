-- How many cells came from published tables.
SELECT count(*) AS cells FROM cells WHERE origin = 'imported';
