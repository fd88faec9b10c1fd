-- What the last import of this name was made of.
SELECT spec FROM runs WHERE kind = 'import' AND name = $name ORDER BY started DESC LIMIT 1;
