-- Which domain is contained in which.
SELECT domain, contained_in FROM domains;
