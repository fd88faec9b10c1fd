-- f07_direction: F7, one row for each group of `paired_gains` with both sources of more training
-- images than the target and of fewer. difference = mean gain of the larger - of the smaller.
CREATE OR REPLACE VIEW f07_direction AS
SELECT
    task, family, adaptation, size, seed, protocol, metric, unit, architecture, base,
    larger_abs, smaller_abs, larger_norm, smaller_norm, larger_sources, smaller_sources,
    small_target, target_domain,
    larger_abs - smaller_abs AS difference_abs,
    larger_norm - smaller_norm AS difference_norm
FROM paired_gains
WHERE larger_sources > 0 AND smaller_sources > 0;
