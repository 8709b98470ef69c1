"""Steps of a walk through kubectl's commands, and the player that takes them for one version."""

import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from tests.e2e.conftest import Cluster, kubectl_path

LIMIT_S = 90.0
WORKS, ABSENT, NOT_RUN = "works", "absent", "not run"


@dataclass(frozen=True)
class Done:
    """What one command did."""

    command: str
    code: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        return self.raw.decode()

    @property
    def all(self) -> str:
        return self.raw.decode(errors="replace") + self.err

    def json(self) -> Any:
        return orjson.loads(self.raw)

    def must(self, holds: object, what: str) -> None:
        """Fail with everything the command said unless `holds`."""
        assert holds, f"{what}\n$ {self.command}\nexit {self.code}\n{self.all[:2000]}"

    def says(self, pattern: str) -> "Done":
        """Fail unless the pattern (multi-line) occurs in what it printed."""
        self.must(re.search(pattern, self.all, re.M), f"does not say /{pattern}/")
        return self


class RefusedError(Exception):
    """The command was refused, by name, as expected; the text says how."""


@dataclass
class Player:
    """kubectl of one version against the cluster, in a namespace of its own.

    Attributes:
        took: seconds that each step took.
        tried: the command lines that were run, in any namespace.
        bare: whether commands get no flags of the player's; KUBECONFIG tells them the cluster.
    """

    cluster: Cluster
    version: str
    home: Path
    namespace: str = "default"
    took: dict[str, float] = field(default_factory=dict)
    tried: set[str] = field(default_factory=set)
    bare: bool = False

    def command(self, *words: str) -> list[str]:
        self.tried.add(" ".join(words))
        if self.bare:
            return [kubectl_path(self.version), *words]
        config = str(self.cluster.config)
        return [kubectl_path(self.version), "--kubeconfig", config, "-n", self.namespace, *words]

    def env(self) -> dict[str, str]:
        own = {"KUBECACHEDIR": str(self.home / "cache")}
        if self.bare:
            own["KUBECONFIG"] = str(self.cluster.config)
        return {**os.environ, **own}

    def run(
        self,
        *words: str,
        stdin: str | bytes = b"",
        code: int | None = 0,
        env: dict[str, str] | None = None,
    ) -> Done:
        """Run to the end; `code` is the expected exit code, None for any."""
        done = subprocess.run(
            self.command(*words),
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            check=False,
            timeout=LIMIT_S,
            env={**self.env(), **(env or {})},
            cwd=self.home,
        )
        shown = f"kubectl.{self.version} {' '.join(words)}"
        result = Done(shown, done.returncode, done.stdout, done.stderr.decode(errors="replace"))
        result.must(code is None or code == done.returncode, f"exit code is not {code}")
        return result

    def refused(self, *words: str, says: str, stdin: str = "") -> None:
        """The command must fail and say this. Raises RefusedError to record it."""
        done = self.run(*words, stdin=stdin, code=None).says(says)
        done.must(done.code != 0, "should be refused")
        found = re.search(says, done.all, re.M)
        raise RefusedError(found[0] if found else says)

    def file(self, name: str, text: str | bytes) -> str:
        """Write a file into the player's folder; returns its name."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return name

    def running(self, *words: str, env: dict[str, str] | None = None) -> "Running":
        return Running(self, words, env or {})


class Running:
    """A command that goes on: its lines (both streams), to wait for; ended on exit."""

    def __init__(self, player: Player, words: Sequence[str], env: dict[str, str]) -> None:
        self._player, self._words, self._env = player, words, env
        self._text = ""
        self._grown = threading.Condition()
        self._ended = False

    def __enter__(self) -> "Running":
        self._process = subprocess.Popen(
            self._player.command(*self._words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**self._player.env(), **self._env},
            cwd=self._player.home,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(20)
        self._reader.join(20)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        while piece := os.read(self._process.stdout.fileno(), 65536):
            with self._grown:
                self._text += piece.decode(errors="replace")
                self._grown.notify_all()
        with self._grown:
            self._ended = True
            self._grown.notify_all()

    def type(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode())
        self._process.stdin.flush()

    def until(self, pattern: str, limit_s: float = 30.0) -> re.Match[str]:
        """Wait for the pattern in all that was printed so far."""
        with self._grown:
            self._grown.wait_for(lambda: self._ended or self._find(pattern), limit_s)
            found = self._find(pattern)
            shown = " ".join(self._words)
            assert found, f"/{pattern}/ never came from kubectl {shown}:\n{self._text[-2000:]}"
            return found

    def has(self, pattern: str) -> bool:
        """Whether the pattern is in what was printed so far."""
        return self._find(pattern) is not None

    def end(self, limit_s: float = 60.0) -> int:
        """Wait until it ends by itself; its exit code."""
        return self._process.wait(limit_s)

    def _find(self, pattern: str) -> re.Match[str] | None:
        return re.search(pattern, self._text, re.M)


@dataclass(frozen=True)
class Step:
    """One command of the walk: its words as the page shows them, and how to try it."""

    words: str
    play: Callable[[Player], object]
    since: str = ""


class Walk:
    """Steps in order, gathered by decorators and by plain entries."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.steps: list[Step] = []

    def step(self, words: str, since: str = "") -> Callable[[Callable[[Player], object]], None]:
        def keep(play: Callable[[Player], object]) -> None:
            self.steps.append(Step(words, play, since))

        return keep

    def plain(self, words: str, says: str, since: str = "", code: int = 0) -> None:
        """A command that must print something matching `says`."""
        self.steps.append(Step(words, lambda p: p.run(*words.split(), code=code).says(says), since))

    def refused(self, words: str, says: str, since: str = "") -> None:
        """A command that must be refused with `says`."""
        self.steps.append(Step(words, lambda p: p.refused(*words.split(), says=says), since))


Results = dict[tuple[str, str], str]
"""(words, version) -> what happened: `works`, `refused: ...`, `absent` or `BROKEN: ...`."""


def older(version: str, than: str) -> bool:
    def number(text: str) -> list[int]:
        return [int(part) for part in text.split(".")]

    return bool(than) and number(version) < number(than)


def take(walk: Walk, player: Player, results: Results) -> None:
    """Take every step; a broken one is written down and the walk goes on."""
    for step in walk.steps:
        begun = time.monotonic()
        results[step.words, player.version] = _take(step, player)
        player.took[step.words] = time.monotonic() - begun


def _take(step: Step, player: Player) -> str:
    if older(player.version, step.since):
        return ABSENT
    try:
        step.play(player)
    except RefusedError as refused:
        return f"refused: {refused}"
    except (AssertionError, OSError, subprocess.TimeoutExpired, ValueError, LookupError) as broken:
        return f"BROKEN: {broken}"
    return WORKS


def page(walks: Iterable[Walk], versions: Sequence[str], results: Results) -> str:
    """The reference page: a table for each walk, and the words of the refusals."""
    parts, notes = [HEAD], dict[str, int]()
    for walk in walks:
        parts.append(f"\n## {walk.title}\n\n")
        parts.append(f"| command | {' | '.join(versions)} |\n|---|{'---|' * len(versions)}\n")
        for step in walk.steps:
            cells = [_cell(results.get((step.words, v), NOT_RUN), notes) for v in versions]
            words = step.words.replace("|", "\\|")
            parts.append(f"| `{words}` | {' | '.join(cells)} |\n")
    parts.append("\n## Refusals\n\n")
    parts.extend(f"{number}. {text}\n" for text, number in notes.items())
    return "".join(parts)


def _cell(outcome: str, notes: dict[str, int]) -> str:
    if outcome.startswith("refused: "):
        number = notes.setdefault(outcome.removeprefix("refused: "), len(notes) + 1)
        return f"refused ({number})"
    return {WORKS: "yes", ABSENT: "-", NOT_RUN: "·"}.get(outcome, "**broken**")


HEAD = """# kubectl

What each command of `kubectl` does with petset, version by version. This page is written by
`tests/e2e/test_kubectl_matrix.py`, which runs every command against a running cluster and compares
the page with what happened; `GOLDEN=1` rewrites it.

**yes**: works, and the test looked at the result. **refused**: the command ends with a failure that
names what is not supported, in the words below. **-**: that version of kubectl has no such command
or flag. **·**: not tried with that version; slow commands run with the oldest, the middle and the
newest version only.
"""
