"""The anatomy of transfer: analyses of the four networks of Neyshabur et al. 2020 (arXiv 2008.11687), one a file.

Each is a function (networks, settings) -> readings, where the networks are P and RI, as training found them, and P-T and
RI-T, as it left them. ``headwater.harness.measure.analysing`` calls them.
"""
