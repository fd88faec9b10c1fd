-- The estimators that the store has scores of, by the names they were recorded under.
SELECT DISTINCT estimator FROM estimates ORDER BY ALL;
