"""Measuring: a spec becomes a plan of jobs, jobs run in parallel, outcomes are recorded."""
