-- The fastest of some jobs, in images a second; NULL where none of them processed images.
SELECT max(images / seconds) AS images_per_second
FROM jobs
WHERE job IN (SELECT unnest($jobs::VARCHAR[])) AND images > 0 AND seconds > 0;
