-- f11_mistakes: F11, one row for each analysis in which each network alone gets some test images
-- wrong: how ambiguous (nats) those of the transferred network are, and those of the scratch one.
-- difference = the first less the second. `kappa` is Cohen's, of the two networks' predictions.
CREATE OR REPLACE VIEW f11_mistakes AS
SELECT
    source, task, family, adaptation, size, seed, protocol, metric,
    any_value(transferred) FILTER (quantity = 'ambiguity') AS transferred_ambiguity,
    any_value(scratch) FILTER (quantity = 'ambiguity') AS scratch_ambiguity,
    any_value(transferred) FILTER (quantity = 'images') AS transferred_images,
    any_value(scratch) FILTER (quantity = 'images') AS scratch_images,
    any_value(pair_value) FILTER (quantity = 'kappa') AS kappa,
    small_target, target_domain, job,
    transferred_ambiguity - scratch_ambiguity AS difference
FROM paired_readings
WHERE analysis = 'mistakes'
GROUP BY ALL
HAVING difference IS NOT NULL;
