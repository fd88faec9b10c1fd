"""Run the ``headwater`` command: ``python -m headwater``."""

from headwater.harness.cli import main

if __name__ == "__main__":
    main()
