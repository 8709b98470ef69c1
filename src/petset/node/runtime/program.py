"""Calls the OCI runtime's program and waits for its end."""

import logging
from pathlib import Path

from petset.node.runtime import probe, process

TIMEOUT_S = 60.0
NEEDS_WRAPPER = b"hybrid"
"""What crun says on machines with both versions of control groups."""

_log = logging.getLogger(__name__)


class Program:
    """The program that `probe` found, with the node's state directory for it.

    Attributes:
        state: its state directory (`--root`).
    """

    def __init__(self, found: probe.Found, state: Path) -> None:
        self._found = found
        self._plain = found.plain
        self.state = state

    def command(self, *words: str) -> list[str]:
        """A command line that works for every subcommand."""
        return [self._found.program, "--root", str(self.state), *words]

    async def call(self, *words: str) -> process.Done:
        """Run a subcommand on a container that was created; code -1 when it does not end.

        Most versions need their wrapper for `create` and `exec` only, and it costs as much as
        they do; one that asks for it gets it from then on.
        """
        done = await self._run(self._plain, *words)
        if done.code != 0 and NEEDS_WRAPPER in done.errors and self._plain != self._found.program:
            _log.info("%s always needs its wrapper", self._plain)
            self._plain = self._found.program
            done = await self._run(self._plain, *words)
        return done

    async def _run(self, program: str, *words: str) -> process.Done:
        try:
            return await process.run(
                [program, "--root", str(self.state), *words], timeout_s=TIMEOUT_S
            )
        except TimeoutError:
            return process.Done(-1, b"", b"the runtime did not answer in time")
