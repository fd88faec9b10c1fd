"""One cache and one Ray for the whole session, on however many processes."""

from __future__ import annotations

import os
import tempfile

import pytest

# Before anything asks for the cache: tests neither read nor fill the user's own.
os.environ["HEADWATER_CACHE"] = os.environ.get("HEADWATER_TEST_CACHE") or tempfile.mkdtemp(
    prefix="headwater-test-cache-"
)
os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # networks this small are slower on more, and each process of the tests would have as many
for name in [
    name
    for name in os.environ
    if name.startswith("HEADWATER_") and name not in ("HEADWATER_CACHE", "HEADWATER_TEST_CACHE")
]:
    del os.environ[name]


@pytest.fixture(scope="session")
def ray_session():
    """Ray as the executor starts it, kept for all tests that need it."""
    import ray

    from headwater.harness.running.executors.ray import connect

    connect(None)
    yield
    ray.shutdown()


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items):
    """Group the tests for several processes (``--dist loadgroup``): files stay whole, for their
    fixtures, and those that need Ray stay together, so that there is one Ray."""
    with_ray = {item.path for item in items if "ray_session" in item.fixturenames}
    for item in items:
        group = "ray" if item.path in with_ray else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
