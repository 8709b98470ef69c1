"""At most one node uses a ReadWriteOnce volume, at most one pod a ReadWriteOncePod volume.

Beside the volume's directory lies a file that names the pods using it and where each one's records
are. Another node's pod is displaced only once no process of it lives, which its records and the
kernel tell. The owner checks again before it starts a container, after noting its intent in its
own records: so either the newcomer sees the intent, or the owner sees the newcomer.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from petset.node.volume.base import VolumeFailedError

IsAlive = Callable[[Path], bool]
"""Whether any process of the pod whose records lie in this directory lives or is being started."""


@dataclass(frozen=True, slots=True)
class Claimant:
    """Who wants a volume: the node's state directory, the pod's records, a name for messages."""

    node: str
    records: str
    name: str


def file_of(volume: Path) -> Path:
    """Where the fence of a volume's directory lies: beside it, so that its content is untouched."""
    return volume.with_name(f".{volume.name}.petset-use")


@contextmanager
def _locked(file: Path) -> Iterator[dict[str, Claimant]]:
    """The users noted in `file`, by records directory; changes are written back.

    The new text is laid over the old one before the rest is cut off: whoever is killed between the
    two leaves the new text with something behind it, which readers pass over. A file without users
    is removed.
    """
    fd = _open_locked(file)
    try:
        users = _parse(os.pread(fd, os.fstat(fd).st_size, 0).decode(errors="replace"))
        before = dict(users)
        yield users
        if users != before:
            noted = [{"node": u.node, "records": u.records, "name": u.name} for u in users.values()]
            text = json.dumps(noted).encode() + b"\n"
            os.pwrite(fd, text, 0)
            os.ftruncate(fd, len(text))
        if not users:
            file.unlink()
    finally:
        os.close(fd)


def _open_locked(file: Path) -> int:
    """Open and lock the file that has this name once it is locked: it may be removed meanwhile."""
    while True:
        fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_nlink:
            return fd
        os.close(fd)


def _parse(text: str) -> dict[str, Claimant]:
    """The users in a fence's text. Unreadable text is a power cut's: nothing lived through it."""
    try:
        noted, _ = json.JSONDecoder().raw_decode(text)
    except ValueError:
        return {}
    return {
        raw["records"]: Claimant(raw["node"], raw["records"], raw["name"])
        for raw in noted
        if isinstance(raw, dict)
    }


def acquire(volume: Path, claimant: Claimant, is_alive: IsAlive, *, one_pod: bool = False) -> None:
    """Note `claimant` as a user. Raises VolumeFailedError while another's processes live."""
    with _locked(file_of(volume)) as users:
        for user in list(users.values()):
            same_node = user.node == claimant.node
            if user.records == claimant.records or (same_node and not one_pod):
                continue
            if is_alive(Path(user.records)):
                raise VolumeFailedError(
                    f"volume {volume.name} is still in use by pod {user.name} "
                    f"(records in {user.node})"
                )
            del users[user.records]
        users[claimant.records] = claimant


def holds(volume: Path, claimant: Claimant) -> bool:
    """Whether `claimant` is still noted as a user."""
    file = file_of(volume)
    if not file.exists():
        return False
    with _locked(file) as users:
        return claimant.records in users


def release(volume: Path, records: str) -> None:
    """Take the pod whose records lie in `records` off the list; a missing fence is fine."""
    file = file_of(volume)
    if not file.exists():
        return
    with _locked(file) as users:
        users.pop(records, None)
