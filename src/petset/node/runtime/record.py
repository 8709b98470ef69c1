"""What is kept on disk of each container run, so that the next agent (or `down`) finds it.

One file per run below `<state>/pods/<uid>/containers/`, replaced as a whole.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import orjson

from petset.node import kernel
from petset.node.runtime.base import Run
from petset.node.runtime.conmon import Started


@dataclass(frozen=True, slots=True)
class Record:
    """A run and the processes behind it; ticks tell a process from another of the same pid.

    Attributes:
        starter_pid: the agent that is about to start it; 0 once the processes are known.
        bundle: directory of the runtime's files.
        storage: what the container writes on top of its image.
    """

    run: Run
    bundle: str
    storage: str
    starter_pid: int = 0
    starter_ticks: int = 0
    pid: int = 0
    ticks: int = 0
    conmon_pid: int = 0
    conmon_ticks: int = 0
    cgroup: str = ""

    def is_alive(self) -> bool:
        """Whether any process of this run lives, or is about to."""
        if self.run.cleaned:
            return False
        return (
            kernel.is_alive(self.pid, self.ticks)
            or kernel.is_alive(self.conmon_pid, self.conmon_ticks)
            or kernel.is_alive(self.starter_pid, self.starter_ticks)
        )


def intended(run: Run, bundle: Path, storage: Path, cgroup: str) -> Record:
    """The record of a run that this process is about to start."""
    me = os.getpid()
    return Record(
        run=run,
        bundle=str(bundle),
        storage=str(storage),
        starter_pid=me,
        starter_ticks=kernel.start_ticks(me),
        cgroup=cgroup,
    )


def file_of(pod_dir: Path, run: Run) -> Path:
    """Where the record of `run` lies."""
    return pod_dir / "containers" / f"{run.name}.{run.attempt}.json"


def save(pod_dir: Path, record: Record) -> None:
    """Write the record; readers see the old or the new one, never half of it."""
    file = file_of(pod_dir, record.run)
    fresh = Path(f"{file}.new")
    data = orjson.dumps(record)
    try:
        fresh.write_bytes(data)
    except FileNotFoundError:
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_bytes(data)
    fresh.replace(file)


def load(pod_dir: Path) -> Iterator[Record]:
    """The records of a pod, by name and attempt; a broken one (power cut) is skipped."""
    folder = pod_dir / "containers"
    if not folder.is_dir():
        return
    for file in sorted(folder.glob("*.json"), key=_order):
        try:
            raw = json.loads(file.read_bytes())
        except (ValueError, FileNotFoundError):
            continue
        known = {f.name for f in fields(Record)}
        runs = {f.name for f in fields(Run)}
        run = Run(**{k: v for k, v in raw.pop("run").items() if k in runs})
        yield Record(run=run, **{k: v for k, v in raw.items() if k in known})


def _order(file: Path) -> tuple[str, int]:
    name, _, attempt = file.stem.rpartition(".")
    return name, int(attempt) if attempt.isdigit() else 0


def with_run(record: Record, **changes: object) -> Record:
    """`record` with fields of its run changed."""
    return replace(record, run=replace(record.run, **changes))  # type: ignore[arg-type]


def never_began(record: Record, at: float, words: str) -> Record:
    """`record` of a run that could not be created, as was found at `at`."""
    begun = replace(record, starter_pid=0, starter_ticks=0)
    return with_run(begun, state="exited", finished_at=at, exit_code=128, error=words)


def with_processes(record: Record, started: Started) -> Record:
    """`record` with the processes that were started for it."""
    return replace(
        record,
        starter_pid=0,
        starter_ticks=0,
        pid=started.pid,
        ticks=started.ticks,
        conmon_pid=started.conmon_pid,
        conmon_ticks=started.conmon_ticks,
    )


def pod_is_alive(pod_dir: Path) -> bool:
    """Whether any process of the pod whose records lie in `pod_dir` lives, or is about to."""
    return any(record.is_alive() for record in load(pod_dir))
