-- How many runs there were, and when the last one began.
SELECT count(*) AS runs, date_trunc('second', max(started)) AS last_started FROM runs;
