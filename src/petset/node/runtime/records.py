"""The records of a node's runs: in memory by run and by pod, and on disk.

Invariant: memory never knows less than the disk does.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

from petset.node.runtime import record

_log = logging.getLogger(__name__)


class Records:
    """Every run that is kept. `pods` is the directory that has one for each pod."""

    def __init__(self, pods: Path) -> None:
        self._pods = pods
        self._by_pod: dict[str, dict[str, record.Record]] = {}
        self._pod_of: dict[str, str] = {}

    def __getitem__(self, run_id: str) -> record.Record:
        return self._by_pod[self._pod_of[run_id]][run_id]

    def get(self, run_id: str) -> record.Record | None:
        """The record of a run, if it is kept."""
        return self[run_id] if run_id in self._pod_of else None

    def of(self, uid: str) -> list[record.Record]:
        """The records of a pod, as they came."""
        return list(self._by_pod.get(uid, {}).values())

    def adopt(self, directory: Path) -> Iterator[record.Record]:
        """What lies in a pod's directory already, each one kept as it is handed out."""
        for found in record.load(directory):
            self._put(found)
            yield found

    def _put(self, kept: record.Record) -> None:
        uid = kept.run.pod_uid
        self._by_pod.setdefault(uid, {})[kept.run.id] = kept
        self._pod_of[kept.run.id] = uid

    def save(self, kept: record.Record) -> None:
        """Keep what is about to happen, on disk above all. Raises OSError."""
        self._put(kept)
        record.save(self._pods / kept.run.pod_uid, kept)

    def note(self, kept: record.Record) -> None:
        """Keep what has happened; a full disk cannot undo it, and the kernel tells it again."""
        try:
            self.save(kept)
        except OSError as error:
            _log.warning("run %s is %s, not noted: %s", kept.run.id, kept.run.state, error)

    def pop(self, run_id: str) -> record.Record | None:
        """Forget a run, in memory."""
        uid = self._pod_of.pop(run_id, None)
        if uid is None:
            return None
        runs = self._by_pod[uid]
        found = runs.pop(run_id)
        if not runs:
            del self._by_pod[uid]
        return found
