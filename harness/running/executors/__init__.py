"""Executors: one contract, ``events(schedule)``, and a file for each way of running jobs."""
