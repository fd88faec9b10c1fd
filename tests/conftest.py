"""One cache and one Ray for the whole session."""

from __future__ import annotations

import os
import tempfile

import pytest

# Before anything asks for the cache: tests neither read nor fill the user's own.
os.environ["HEADWATER_CACHE"] = os.environ.get("HEADWATER_TEST_CACHE") or tempfile.mkdtemp(prefix="headwater-test-cache-")
for name in [name for name in os.environ if name.startswith("HEADWATER_") and name not in ("HEADWATER_CACHE", "HEADWATER_TEST_CACHE")]:
    del os.environ[name]


@pytest.fixture(scope="session")
def ray_session():
    """Ray as the executor starts it, kept for all tests that need it."""
    import ray

    from harness.executors.ray import connect

    connect(None)
    yield
    ray.shutdown()
