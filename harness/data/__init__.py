"""Data: decoded once into memory-mapped uint8, cut into nested subsets, served in batches."""
