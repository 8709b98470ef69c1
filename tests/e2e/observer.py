"""Watches, from outside petset, that no two pods of one name run at the same time.

A process of its own: it reads the kernel's control groups every few milliseconds and asks petset
nothing but the name that belongs to a pod's uid. `python observer.py STATE CGROUP OUTPUT`; it ends
when its standard input does, and then writes what it saw.
"""

import json
import select
import sys
import time
from pathlib import Path

EVERY_S = 0.002


class Observer:
    """The eyes: `state` is the cluster's state directory, `top` its control group."""

    def __init__(self, state: Path, top: Path) -> None:
        self.state = state
        self.top = top
        self.names: dict[str, str] = {}
        self.doubled: list[str] = []
        self.seen: dict[str, set[str]] = {}
        self.samples = 0
        self.gap_s = 0.0

    def sample(self) -> None:
        """Look once at every pod of every node."""
        self.samples += 1
        living: dict[str, Path] = {}
        for group in self._groups():
            if not is_populated(group):
                continue
            name = self.name_of(group)
            other = living.setdefault(name, group)
            self.seen.setdefault(name, set()).add(group.name)
            # The other one was looked at first: only if it still lives now do both.
            if other.name != group.name and is_populated(other):
                self.doubled.append(f"{time.time():.3f} {name}: {other} and {group}")

    def _groups(self) -> list[Path]:
        found: list[Path] = []
        for node in below(self.top):
            found += below(node)
        return found

    def name_of(self, group: Path) -> str:
        """`namespace/name` of the pod whose control group this is."""
        uid = group.name
        if uid not in self.names:
            record = self.state / "nodes" / group.parent.name / "pods" / uid / "pod.json"
            try:
                metadata = json.loads(record.read_bytes())["pod"]["metadata"]
            except (OSError, ValueError, KeyError):
                return f"unknown {uid}"
            self.names[uid] = f"{metadata['namespace']}/{metadata['name']}"
        return self.names[uid]


def below(directory: Path) -> list[Path]:
    """The directories in `directory`; none when it is gone."""
    try:
        return [p for p in directory.iterdir() if p.is_dir()]
    except OSError:
        return []


def is_populated(pod: Path) -> bool:
    """Whether a process lives in one of the pod's containers."""
    for group in below(pod):
        try:
            if (group / "cgroup.procs").read_bytes():
                return True
        except OSError:
            continue
    return False


def main() -> None:
    """Say that it looks, then sample until standard input ends."""
    state, top, output = (Path(word) for word in sys.argv[1:])
    observer = Observer(state, top)
    observer.sample()
    sys.stdout.write("looking\n")
    sys.stdout.flush()
    last = time.monotonic()
    while not select.select([sys.stdin], [], [], EVERY_S)[0]:
        observer.sample()
        now = time.monotonic()
        observer.gap_s, last = max(observer.gap_s, now - last), now
    told = {
        "doubled": observer.doubled,
        "samples": observer.samples,
        "gap_s": observer.gap_s,
        "seen": {name: sorted(uids) for name, uids in observer.seen.items()},
    }
    output.write_text(json.dumps(told))


if __name__ == "__main__":
    main()
