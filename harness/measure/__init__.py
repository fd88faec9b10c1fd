"""Measuring: what a worker does with one job. Torch is imported here and in plugins, nowhere above."""
