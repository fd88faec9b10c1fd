"""Measuring: a spec becomes a plan of jobs, jobs run in parallel, outcomes are recorded."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submodules=["conformance"])
