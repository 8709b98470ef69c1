"""Loads the code of one of petset's processes and runs it: `python -m petset.cli.load server ...`.

Invariant: imports next to nothing itself. What is loaded stays for good: nothing of it is garbage,
so nothing is looked for while it loads, nor looked at ever after.
"""

import gc
import importlib
import sys


def main() -> None:
    """Entry point: the first word names the process, the rest is its command line."""
    gc.disable()
    process = importlib.import_module(f"petset.cli.{sys.argv.pop(1)}")
    gc.freeze()
    gc.enable()
    process.main()


if __name__ == "__main__":
    main()
