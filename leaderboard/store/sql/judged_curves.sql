-- Validation after each epoch: what a training that was stopped there would have shown.
SELECT c.job, c.epoch, c.sign * c.value AS value
FROM (SELECT v.job, v.epoch, v.metric, v.value, j.sign, j.metric AS wanted FROM curves v JOIN jobs j ON j.job = v.job
      WHERE v.split = 'validation' AND j.kind = 'adapt') c
WHERE c.metric = c.wanted
ORDER BY ALL;
