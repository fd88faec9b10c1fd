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


@pytest.hookimpl(optionalhook=True)  # tests run without pytest-xdist too
def pytest_xdist_make_scheduler(config, log):
    """On several processes files stay whole, for their fixtures, and those that need Ray together, so that there is still one Ray."""
    from xdist.scheduler import LoadFileScheduling

    class OneRay(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return "ray" if "ray_session" in (config.rootpath / file).read_text() else file

    return OneRay(config, log)
