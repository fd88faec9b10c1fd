-- Version 4. What paired cells share besides their coordinates is called their protocol.
ALTER TABLE jobs RENAME COLUMN setup TO protocol;
