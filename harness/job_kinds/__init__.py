"""The job kinds that every plan is made of, one a file. Torch is imported only when a job runs."""
