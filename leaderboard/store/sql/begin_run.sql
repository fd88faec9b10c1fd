-- A run and its state. `arriving_run` is registered by the caller.
INSERT INTO runs BY NAME FROM arriving_run;
