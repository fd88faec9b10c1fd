"""The command line in a process of its own, as a user has it."""

import os
import subprocess
import sys


def command(folder, *words, **variables):
    """Run ``headwater WORDS`` in ``folder``; ``variables`` are added to the environment."""
    return subprocess.run(
        [sys.executable, "-m", "headwater", *map(str, words)],
        cwd=folder,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=200,
    )
