-- How many jobs there are in each state and of each kind, and what they took.
SELECT
    j.state,
    CASE WHEN r.kind = 'import' THEN j.kind || ' (imported)' ELSE j.kind END AS kind,
    count(*) AS jobs,
    sum(j.seconds) AS seconds
FROM jobs j
LEFT JOIN runs r ON r.run = j.run
GROUP BY ALL
ORDER BY ALL;
