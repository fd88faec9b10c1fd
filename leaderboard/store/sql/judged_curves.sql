-- Validation after each epoch: what a training that was stopped there would have shown.
SELECT c.job, c.epoch, j.sign * c.value AS value
FROM curves c
JOIN jobs j ON j.job = c.job AND j.metric = c.metric
WHERE c.split = 'validation' AND j.kind = 'adapt'
ORDER BY ALL;
