"""A cluster of a test's own on the command line, and what it leaves on the machine."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from petset.cli import paths, process, state
from petset.node.runtime import cgroup
from tests.e2e.conftest import eventually

PETSET = [sys.executable, "-m", "petset"]
IP_FREEBIND = 15
ORPHANS_BELOW = 21
"""Node tests take bridges from here on, without a cluster."""


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str


@dataclass
class Box:
    """A cluster by name; `env` is for its commands."""

    directory: Path
    name: str = field(default_factory=lambda: f"c{uuid.uuid4().hex[:8]}")
    env: dict[str, str] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        return self.directory / f"{self.name}.kubeconfig"

    @property
    def where(self) -> paths.Paths:
        return state.find(self.name)

    def start(
        self, command: str, *words: str, before: tuple[str, ...] = ()
    ) -> "subprocess.Popen[str]":
        """Begin a command, named for this cluster; not waited for."""
        more = [f"--kubeconfig={self.config}"] if command == "up" else []
        head = [*before, *PETSET, *command.split(), "--name", self.name, *more]
        return subprocess.Popen(
            [*head, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **self.env},
        )

    def run(self, command: str, *words: str, before: tuple[str, ...] = (), ok: bool = True) -> Done:
        """Run a command to its end; `ok` says how it has to end."""
        running = self.start(command, *words, before=before)
        out, err = running.communicate(timeout=120)
        done = Done(running.returncode, out, err)
        assert (done.code == 0) is ok, f"petset {command} {words}: {done}"
        return done

    def refused(self, command: str, *words: str, before: tuple[str, ...] = ()) -> str:
        """Run a command that has to be refused in one clear line, maybe with one of advice."""
        done = self.run(command, *words, before=before, ok=False)
        assert done.code in {1, 2}, done
        told = done.err.strip().splitlines()
        lines = [line for line in told if "waiting: another petset command" not in line]
        assert lines, done
        assert lines[0].startswith("petset"), done
        assert "Traceback" not in done.err + done.out, done
        assert len(lines) <= 2, done
        return done.err

    def is_well(self) -> bool:
        """Whether `petset status` says that all of it runs."""
        with self.start("status") as asked:
            asked.communicate(timeout=60)
        return asked.returncode == 0

    def shell(self, pod: str, script: str) -> str:
        """The output of a shell script in a pod."""
        return self.run("exec", pod, "--", "sh", "-c", script).out.strip()

    def json(self, *words: str) -> Mapping[str, object]:
        """An object or a list, as the API has it."""
        found: Mapping[str, object] = orjson.loads(self.run("get", *words, "-o", "json").out)
        return found

    def pids(self) -> dict[str, process.Process]:
        """The living processes of petset's own, by name."""
        files = self.where.run.glob("*.pid")
        return {f.stem: found for f in files if (found := process.read(f))}

    def kill_all(self) -> None:
        """SIGKILL server and agents at once."""
        doomed = list(self.pids().values())
        process.send(doomed, signal.SIGKILL)
        process.wait_gone(doomed, 10)

    def traces(self) -> list[str]:
        """All that is on the machine because of this cluster, but its data."""
        return traces(self.name, self.where.run)

    def assert_gone(self) -> None:
        """Nothing of the cluster is left but its data; bridges of no cluster do not exist."""
        eventually(lambda: not self.traces(), f"nothing left: {self.traces()}", 5)
        eventually(lambda: not _orphan_bridges(), f"no bridge left: {_orphan_bridges()}", 5)


@contextlib.contextmanager
def listening(host: str, port: int = 0) -> Iterator[int]:
    """Somebody else's socket, also on an address that does not exist yet."""
    with contextlib.closing(socket.socket()) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        taken.bind((host, port))
        taken.listen()
        yield int(taken.getsockname()[1])


@contextlib.contextmanager
def box(directory: Path, **env: str) -> Iterator[Box]:
    """A box whose cluster is gone afterwards, whatever happened."""
    made = Box(directory, env=dict(env))
    try:
        yield made
    finally:
        left = made.start("down", "--delete-data", "--timeout", "0")
        left.communicate(timeout=120)


def traces(name: str, run: Path) -> list[str]:
    """Processes, mounts, nft tables, control groups, links and run-time files of a cluster."""
    found = [*_processes(name, run), *_run_files(name)]
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    found += [f"mount {line.split()[4]}" for line in mounts if f"/{name}/" in line.split()[4]]
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True)
    found += [f"nft {line}" for line in tables.stdout.splitlines() if line.endswith(f"-{name}")]
    for top in cgroup.hierarchies():
        if (group := top / "petset" / name).exists():
            found.append(f"cgroup {group}")
    note = run / "cluster"
    if note.exists():
        index = orjson.loads(note.read_bytes())["index"]
        links = Path("/sys/class/net").iterdir()
        found += [f"link {p.name}" for p in links if re.fullmatch(rf"ps{index}(n\d+)?", p.name)]
    return found


def _processes(name: str, run: Path) -> Iterator[str]:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            groups = (entry / "cgroup").read_text()
            if f"/petset/{name}/" in groups or any(w.startswith(f"{run}") for w in words):
                yield f"process {entry.name} {' '.join(words)[:200]}"


def _run_files(name: str) -> list[str]:
    root = paths.run_root()
    lock = f".cluster-{name}.lock"
    return [f"run {p}" for p in (root / name, root / lock) if p.exists()]


def _orphan_bridges() -> list[str]:
    known = set()
    for cluster in state.running_names():
        if told := state.note(paths.of(cluster)):
            known.add(f"ps{told.index}")
    links = [p.name for p in Path("/sys/class/net").iterdir()]
    bridges = [n for n in links if re.fullmatch(r"ps\d+", n) and int(n[2:]) < ORPHANS_BELOW]
    return [n for n in bridges if n not in known]
