"""``python -m perf [startup] [fine_tune] [overhead] [estimators] [probe] [error_rates]``: measure, print, and exit 1 where a target is missed."""

from __future__ import annotations

import argparse
import importlib
import platform
import sys

from perf.figures import Figure

BENCHMARKS = ("startup", "fine_tune", "overhead", "estimators", "probe", "error_rates")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m perf", description="Headwater's speed beside the plain thing."
    )
    parser.add_argument(
        "benchmark", nargs="*", help=f"any of {', '.join(BENCHMARKS)}; by default all"
    )
    chosen = parser.parse_args().benchmark or BENCHMARKS
    if unknown := [name for name in chosen if name not in BENCHMARKS]:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}")
    print(
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}", flush=True
    )
    met = [_show(name) for name in chosen]
    return 0 if all(met) else 1


def _show(name: str) -> bool:
    print(f"\n{name}", flush=True)
    figures: list[Figure] = importlib.import_module(f"perf.{name}").measure()
    for figure in figures:
        print(f"  {figure}", flush=True)
    return all(figure.met for figure in figures)


if __name__ == "__main__":
    sys.exit(main())
