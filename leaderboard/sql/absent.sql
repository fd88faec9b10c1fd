-- Cells without a gain: failed, or measured without a reference (`unpaired`).
SELECT j.source, j.task, j.adaptation, j.size, 'failed' AS why, t.domain AS target_domain,
       coalesce(try_cast(j.size AS INTEGER) <= 150, false) AS small_target
FROM jobs j LEFT JOIN tasks t ON t.name = j.task
WHERE j.kind = 'adapt' AND j.state = 'failed'
UNION ALL
SELECT u.source, u.task, u.adaptation, u.size, 'unpaired', t.domain, coalesce(try_cast(u.size AS INTEGER) <= 150, false)
FROM unpaired u LEFT JOIN tasks t ON t.name = u.task
WHERE u.reference = ?;
