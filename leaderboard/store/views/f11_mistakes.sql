-- f11_mistakes: F11, ambiguity (nats) of the test images that only the transferred network gets wrong against that of those only the
-- scratch network gets wrong; one row for each analysis in which both have images. difference = the first less the second.
-- `kappa` is Cohen's, of the two networks' answers.
CREATE OR REPLACE VIEW f11_mistakes AS
WITH paired AS (
    SELECT
        source,
        task,
        adaptation,
        size,
        seed,
        protocol,
        metric,
        any_value(value) FILTER (quantity = 'ambiguity' AND module = 'only-first-wrong') AS transferred_ambiguity,
        any_value(value) FILTER (quantity = 'ambiguity' AND module = 'only-second-wrong') AS scratch_ambiguity,
        any_value(value) FILTER (quantity = 'images' AND module = 'only-first-wrong') AS transferred_images,
        any_value(value) FILTER (quantity = 'images' AND module = 'only-second-wrong') AS scratch_images,
        any_value(value) FILTER (quantity = 'kappa') AS kappa,
        any_value(small_target) AS small_target,
        any_value(target_domain) AS target_domain,
        job
    FROM analysed
    WHERE analysis = 'mistakes' AND subject = 'P-T/RI-T'
    GROUP BY ALL
)
SELECT *, transferred_ambiguity - scratch_ambiguity AS difference
FROM paired
WHERE transferred_ambiguity IS NOT NULL AND scratch_ambiguity IS NOT NULL;
