"""Outcomes: the DuckDB store, SQL views over it, statistics, terminal tables. Needs neither torch
nor ray.

Names are imported when they are first used (``__init__.pyi`` lists them): printing a table of
sources needs no database.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
