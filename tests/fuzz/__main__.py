"""`python -m tests.fuzz [TARGET ...] [--seconds N] [--seed S] [--round I]`: fuzz on demand.

Each target gets an equal share of the time, in passes of some hundred rounds on a fresh server.
What is found is printed with the words that play it again; the exit code is then 1.
"""

import argparse
import asyncio
import faulthandler
import logging
import sys
import time

from tests.fuzz import harness
from tests.fuzz.targets import TARGETS

PASS = 200
GROWTH_MIB = 200.0
"""What a target may add to the process's memory after its first pass."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=float, default=60.0, help="in all (60)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--round", type=int, default=None, help="play this one round only")
    parser.add_argument("--keep-going", action="store_true", help="after something was found")
    given = parser.parse_args()
    unknown = set(given.targets) - set(TARGETS)
    if unknown:
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    logging.getLogger().addHandler(logging.NullHandler())
    faulthandler.enable()
    names = given.targets or list(TARGETS)
    if given.round is not None:
        return _once(names, given.seed, given.round)
    share = given.seconds / len(names)
    found = [_long(name, given.seed, share, keep_going=given.keep_going) for name in names]
    return 1 if any(found) else 0


def _once(names: list[str], seed: int, number: int) -> int:
    for name in names:
        asyncio.run(harness.play_one(name, TARGETS[name][0], seed, number))
        print(f"{name} --seed {seed} --round {number}: nothing")
    return 0


def _long(name: str, seed: int, seconds: float, *, keep_going: bool) -> int:
    """Play one target for `seconds`; how much was found."""
    end, number, found, first_mib = time.monotonic() + seconds, 0, 0, 0.0

    def tell(error: harness.Found) -> None:
        nonlocal found
        found += 1
        print(f"FOUND {error}", flush=True)

    while time.monotonic() < end and (keep_going or not found):
        faulthandler.dump_traceback_later(harness.ROUND_S * 10, exit=True)
        numbers = range(number, number + PASS)
        try:
            asyncio.run(harness.play_pass(name, TARGETS[name][0], seed, numbers, tell))
        except harness.Found as error:
            tell(error)
        number += PASS
        first_mib = first_mib or harness.resident_mib()
        if harness.resident_mib() > first_mib + GROWTH_MIB:
            print(f"FOUND {name} --seed {seed}: grew from {first_mib:.0f} MiB", flush=True)
            return found + 1
    faulthandler.cancel_dump_traceback_later()
    print(f"{name}: {number} rounds, {found} found, {harness.resident_mib():.0f} MiB", flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
