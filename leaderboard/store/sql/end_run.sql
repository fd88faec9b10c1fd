-- The state in which a run ended.
UPDATE runs SET state = $state, ended = $ended WHERE run = $run;
