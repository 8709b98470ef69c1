"""Plays a tutorial as its reader would: the commands of its console blocks, in order.

A block fenced as `console` holds lines `$ command` and, below each, what it prints. `...` in a line
stands for anything; lines that are not shown do not matter. A command must succeed, unless the
shown output tells of an exit code.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.conftest import ROOT, Cluster

ONCE = ("kubectl delete", "petset node")
"""Beginnings of commands that are never repeated; of others, what they show may take a while."""

PRELUDE = 'petset() { "$PYTHON" -m petset "$@" --name "$CLUSTER"; }; set -o pipefail\n'


@dataclass(frozen=True)
class Step:
    """A command, the lines shown below it, and the heading above it."""

    heading: str
    command: str
    shown: tuple[str, ...]


def steps(readme: Path) -> Iterator[Step]:
    """The commands of a tutorial."""
    heading, inside = "", False
    command, shown = "", list[str]()
    for line in [*readme.read_text().splitlines(), "```"]:
        if inside and (line.startswith(("$ ", "```"))):
            if command:
                yield Step(heading, command, tuple(shown))
            command, shown = line[2:] if line.startswith("$ ") else "", []
            inside = not line.startswith("```")
        elif inside:
            shown.append(line)
        elif line == "```console":
            inside = True
        elif line.startswith("#"):
            heading = line.lstrip("# ")


def is_shown(step: Step, output: str, code: int) -> bool:
    """Whether a command did what its tutorial says."""
    wanted = r"[\s\S]*".join(_pattern(line) for line in step.shown)
    fails = "exit code" in wanted or any("exit code" in line for line in step.shown)
    return (code != 0) == fails and re.search(wanted, output, re.MULTILINE) is not None


def _pattern(line: str) -> str:
    words = re.escape(line).replace(r"\.\.\.", r".*")
    return "^" + re.sub(r"(\\ )+", r"[ \\t]+", words) + r"\s*$"


class Player:
    """A shell that knows which cluster is meant, and the variables set so far."""

    def __init__(self, cluster: Cluster) -> None:
        self.env = {
            **os.environ,
            "KUBECONFIG": str(cluster.config),
            "KUBECACHEDIR": str(cluster.config.parent / "kubecache"),
            "PYTHON": sys.executable,
            "CLUSTER": cluster.name,
        }

    def play(self, step: Step, limit_s: float = 40.0) -> None:
        """Run one command; its output must be, or become, what is shown."""
        assigned = re.fullmatch(r"([A-Z]+)=(.*)", step.command)
        if assigned:
            output, code = self._run(f"printf %s {assigned[2]}")
            assert code == 0, output
            self.env[assigned[1]] = output
            return
        deadline = time.monotonic() + limit_s
        while True:
            output, code = self._run(step.command)
            if is_shown(step, output, code):
                return
            if step.command.startswith(ONCE) or time.monotonic() > deadline:
                told = "\n".join(["$ " + step.command, *step.shown, f"-- but exit {code}:", output])
                raise AssertionError(f"{step.heading}\n{told}")
            time.sleep(0.1)

    def _run(self, command: str) -> tuple[str, int]:
        done = subprocess.run(
            ["bash", "-c", PRELUDE + command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            env=self.env,
            cwd=ROOT,
            timeout=150,
        )
        return done.stdout, done.returncode
