"""Live many histories: `python -m tests.sim --seeds 0:10000`; one again: `--seeds 17 --trace`."""

import argparse
import gc
import multiprocessing
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sim import shrink
from tests.sim.history import Outcome, live
from tests.sim.mutants import MUTANTS
from tests.sim.story import Story, draw

TOLD = 60
PROGRESS_S = 30.0
BATCH = 8


def main() -> int:
    arguments = _arguments()
    if arguments.mutants:
        return _hunt(_seeds(f"0:{arguments.mutants}"))
    seeds = _seeds(arguments.seeds)
    began = time.monotonic()
    failed: list[Outcome] = []
    kinds: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    count = virtual_s = writes = 0
    last = began
    for outcome in _outcomes(seeds, arguments.jobs):
        count += 1
        virtual_s += int(outcome.virtual_s)
        writes += outcome.writes
        kinds.update(step.kind for step in outcome.story.steps)
        refused.update(outcome.refused)
        if outcome.faults:
            failed.append(outcome)
            _tell(outcome, arguments)
        if arguments.twice and live(outcome.story).digest != outcome.digest:
            failed.append(outcome)
            print(f"seed {outcome.story.seed}: the second run differs from the first")
        if arguments.trace:
            print("\n".join(outcome.trace))
        if arguments.digest:
            print(outcome.story.seed, outcome.digest)
        if time.monotonic() - last > PROGRESS_S:
            last = time.monotonic()
            print(f"{count} histories, {len(failed)} failed, {count / (last - began):.1f}/s",
                  flush=True)  # fmt: skip
        if len(failed) >= arguments.failures:
            break
    wall = time.monotonic() - began
    print(f"{count} histories ({virtual_s / 3600:.0f} h of virtual time, {writes} writes), "
          f"{len(failed)} failed; {wall:.0f} s, {count / wall:.1f}/s, "
          f"{_cpu_s() / max(count, 1):.3f} s CPU each")  # fmt: skip
    print("steps:", ", ".join(f"{k} {n}" for k, n in sorted(kinds.items())))
    if arguments.refusals:
        print("refused:", ", ".join(f"{k}: {n}" for k, n in refused.most_common()))
    if failed:
        print("failed:", " ".join(str(o.story.seed) for o in failed))
    return 1 if failed else 0


def _cpu_s() -> float:
    """CPU time of this process and of those that have ended."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, kinds))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seeds", default="0:200", help="A:B, or single ones: 3,17")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--failures", type=int, default=5, help="stop after so many")
    parser.add_argument("--trace", action="store_true", help="print what happened")
    parser.add_argument("--twice", action="store_true", help="run each twice and compare")
    parser.add_argument("--digest", action="store_true", help="print a digest of each trace")
    parser.add_argument("--refusals", action="store_true", help="count what the API refused")
    parser.add_argument("--mutants", type=int, default=0, metavar="N",
                        help="catch broken controllers within N histories each")  # fmt: skip
    parser.add_argument("--shrink", action="store_true", help="make failing stories short")
    return parser.parse_args()


def _seeds(text: str) -> list[int]:
    first, colon, last = text.partition(":")
    if colon:
        return list(range(int(first), int(last)))
    return [int(word) for word in text.split(",")]


def _run(seeds: list[int]) -> list[Outcome]:
    return [live(draw(seed)) for seed in seeds]


def _outcomes(seeds: list[int], jobs: int) -> Iterator[Outcome]:
    """Each batch lives in a process of its own: to end it is cheaper than to collect garbage."""
    batches = [seeds[i : i + BATCH] for i in range(0, len(seeds), BATCH)]
    if len(batches) == 1:
        yield from _run(seeds)
        return
    forking = multiprocessing.get_context("fork")
    with forking.Pool(jobs, initializer=gc.disable, maxtasksperchild=1) as pool:
        for outcomes in pool.imap(_run, batches):
            yield from outcomes


def _hunt(seeds: list[int]) -> int:
    """How many histories it takes to catch each mutant; 1 if one gets away."""
    missed = 0
    for mutant, told in MUTANTS.items():
        with pytest.MonkeyPatch.context() as patch:
            mutant(patch)
            tried = (live(draw(seed)) for seed in seeds)
            found = ((o.story.seed, f) for o in tried for f in o.faults if told in f)
            caught = next(found, None)
        missed += caught is None
        how = "is not caught" if caught is None else f"seed {caught[0]}: {caught[1]}"
        print(f"{mutant.__name__}: {how:.200}", flush=True)
    return 1 if missed else 0


def _tell(outcome: Outcome, arguments: argparse.Namespace) -> None:
    story = outcome.story
    print(f"seed {story.seed} FAILED")
    for fault in outcome.faults[:8]:
        print("  ", fault)
    if arguments.shrink:
        story = shrink.shortest(story)
        outcome = live(story)
        print("shortest story that fails:", *outcome.faults[:5], sep="\n  ")
        print(_source(story))
    print("what happened last:", *outcome.trace[-TOLD:], sep="\n  ")
    print(f"replay: {Path(sys.executable)} -m tests.sim --seeds {story.seed} --trace", flush=True)


def _source(story: Story) -> str:
    return repr(story).replace("Step(", "\n    Step(")


if __name__ == "__main__":
    sys.exit(main())
