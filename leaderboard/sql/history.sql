-- What done jobs cost: forecasts are made of this.
SELECT kind, source, task, adaptation, size, seconds, images
FROM jobs
WHERE state = 'done' AND seconds IS NOT NULL;
