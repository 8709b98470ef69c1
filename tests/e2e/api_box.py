"""A server process of its own over HTTPS, that is killed and started again on the same port."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from petset.base import certificates
from petset.base.certificates import Purpose

CHILD = Path(__file__).with_name("api_child.py")


@dataclass
class Server:
    """The server whose certificates (`make_pki`) and store are in `directory`."""

    directory: Path
    port: int = 0
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and wait until it listens."""
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(CHILD),
            str(self.directory),
            str(self.port),
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        assert self.process.stdout is not None
        self.port = int(await self.process.stdout.readline())

    async def kill(self) -> None:
        """Kill it by SIGKILL, and wait until it is gone."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGKILL)
        await self.process.communicate()


def make_pki(directory: Path) -> None:
    """Certificates for the server (`server`) and an administrator (`me`)."""
    directory.mkdir()
    now = time.time()
    ca = certificates.authority("test", now)
    server = Purpose("server", addresses=["127.0.0.1"], serve=True)
    pairs = {
        "ca": ca,
        "server": certificates.issue(ca, server, now),
        "me": certificates.issue(ca, Purpose("me", ["system:masters"]), now),
    }
    for name, pem in pairs.items():
        (directory / f"{name}.crt").write_bytes(pem.cert)
        (directory / f"{name}.key").write_bytes(pem.key)
