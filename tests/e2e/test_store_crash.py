"""A writer killed at any moment loses nothing that it had acknowledged.

PETSET_CRASH_ROUNDS sets the number of kills (default 6; `make bench` asks for 200).
"""

import os
import random
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

from petset.base.loopclock import LoopClock
from petset.store.drivers.sqlite import FILE
from petset.store.log import open_store

ROUNDS = int(os.environ.get("PETSET_CRASH_ROUNDS", "6"))
CHILD = Path(__file__).with_name("store_child.py")

Acknowledged = dict[int, tuple[str, str]]


def kill_under_load(directory: Path, lines: int) -> Acknowledged:
    """Let a child write until `lines` writes were acknowledged, then kill it as it writes on."""
    command = [sys.executable, str(CHILD), str(directory)]
    child = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert child.stdout is not None
    heard: Acknowledged = {}
    ended = threading.Event()
    watchdog = threading.Thread(target=kill_if_silent, args=(child, heard, ended))
    watchdog.start()
    try:
        for line in child.stdout:
            if line.endswith("\n"):
                revision, word, key = line.split()
                heard[int(revision)] = (word, key)
            if len(heard) == lines:
                child.kill()
    finally:
        ended.set()
        watchdog.join()
        child.kill()
        _, errors = child.communicate()
    assert len(heard) >= lines, errors
    return heard


def kill_if_silent(
    child: "subprocess.Popen[str]", heard: Acknowledged, ended: threading.Event
) -> None:
    """End a writer that acknowledges nothing any more; a slow disk only makes it slow."""
    before = -1
    while not ended.wait(30) and len(heard) > before:
        before = len(heard)
    child.kill()


def integrity(directory: Path) -> str:
    db = sqlite3.connect(directory / FILE)
    try:
        (answer,) = db.execute("PRAGMA integrity_check").fetchone()
    finally:
        db.close()
    assert isinstance(answer, str)
    return answer


async def check(directory: Path, heard: Acknowledged) -> int:
    """Every acknowledged revision is there, in the history or as the state it led to."""
    store = await open_store(directory, clock=LoopClock())
    try:
        assert store.revision >= max(heard)
        events = {event.revision: event for event in store.history("pods/", store.compacted)}
        assert sorted(events) == list(range(store.compacted + 1, store.revision + 1))
        for revision, (word, key) in heard.items():
            if revision > store.compacted:
                event = events[revision]
                assert (event.key, event.deleted) == (key, word == "deleted")
                assert event.value.startswith(b"%d " % revision)
        newest: dict[str, tuple[int, str]] = {}
        for revision, (word, key) in sorted(heard.items()):
            newest[key] = (revision, word)
        for key, (revision, word) in newest.items():
            item = store.get(key)
            found = item.revision if item else 0
            later = [e for e in events.values() if e.key == key and e.revision > revision]
            if not later:
                assert found == (0 if word == "deleted" else revision)
        return store.revision
    finally:
        await store.close()


async def test_no_acknowledged_write_is_lost_over_kills(tmp_path: Path) -> None:
    chance = random.Random(20261120)
    revision = 0
    for _ in range(ROUNDS):
        heard = kill_under_load(tmp_path, chance.randint(1, 3000))
        assert integrity(tmp_path) == "ok"
        assert min(heard) > revision
        revision = await check(tmp_path, heard)
