"""Headwater: which source model should I start from for this target task, and how do I know?

``import headwater as hw`` is the public face. Names are imported when first used, so that importing it costs
milliseconds and needs neither torch nor ray.
"""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path
from typing import Any

_HOME = Path(__file__).resolve().parent
_PACKAGES = ("registry", "leaderboard", "harness", "plugins")

_PUBLIC = {
    "Adaptation": "registry",
    "Annotations": "registry",
    "Batch": "registry",
    "Context": "registry",
    "DataError": "registry.errors",
    "Domain": "registry",
    "Encoded": "registry",
    "Estimator": "registry",
    "Evidence": "registry",
    "Features": "registry",
    "Flaw": "registry",
    "HeadwaterError": "registry.errors",
    "Kind": "registry",
    "Metric": "registry",
    "Name": "registry",
    "NotApplicable": "registry.errors",
    "Objective": "registry",
    "ParameterGroup": "registry",
    "Probe": "registry",
    "Provider": "registry",
    "Pyramid": "registry",
    "Question": "registry",
    "Record": "registry",
    "Registry": "registry",
    "Score": "registry",
    "Selector": "registry",
    "Shape": "registry",
    "Solution": "registry",
    "SourceData": "registry",
    "SourceModel": "registry",
    "Spec": "harness.spec",
    "Split": "registry",
    "Store": "leaderboard",
    "Task": "registry",
    "TaskType": "registry",
    "TaskTypeMethods": "registry",
    "adapt": "harness.adapt",
    "adaptation": "registry",
    "conformance": "harness.conformance",
    "estimator": "registry",
    "findings": "leaderboard.findings",
    "load_adapted": "harness.adapted",
    "plan": "harness.plan",
    "run": "harness.run",
    "sample_pixels": "harness.pixels",
    "score": "harness.scoring",
    "select": "harness.selecting.select",
    "selector": "registry",
    "source_model": "registry",
    "stages": "registry.stages",
    "task": "registry",
    "task_type": "registry",
    "timm_model": "plugins.models.timm_models",
}

__all__ = sorted(_PUBLIC)  # noqa: PLE0605


def claim_packages() -> None:
    """Bind our top-level packages to the ones beside this file.

    A user's folder may hold its own ``plugins.py`` or ``registry/``; whatever stands first on sys.path would
    win. Ray's workers run this before they unpickle anything.
    """
    for package in _PACKAGES:
        if (loaded := sys.modules.get(package)) is not None:
            if Path(loaded.__path__[0] if hasattr(loaded, "__path__") else loaded.__file__ or "").resolve() != _HOME / package:
                raise ImportError(
                    f"a module named {package!r} from {loaded.__file__} was imported before headwater: import headwater first"
                )
            continue
        spec = PathFinder.find_spec(package, [str(_HOME)])
        if spec is None or spec.loader is None:
            raise ImportError(f"headwater's package {package!r} is missing from {_HOME}: reinstall headwater")
        module = module_from_spec(spec)
        sys.modules[package] = module
        spec.loader.exec_module(module)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'headwater' has no attribute {name!r}")
    module = importlib.import_module(_PUBLIC[name])
    return getattr(module, name, module)


def __dir__() -> list[str]:
    return __all__


def main() -> None:
    """The ``headwater`` command."""
    from harness.cli import main

    main()


claim_packages()

if __name__ == "__main__":
    main()
