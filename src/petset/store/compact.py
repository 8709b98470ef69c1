"""How much old history is dropped from disk, and when: small slices between commits.

Invariant: a slice is never more than `SLICE` revisions, so that no writer waits long for one.
Invariant: slices keep pace with writing, whatever its speed and the size of what is written.
"""

SLICE = 200
"""Revisions dropped in one transaction."""
SLICE_BYTES = 2 * 1024 * 1024
"""Fewer revisions are dropped when they hold this many bytes."""


class Compaction:
    """The backlog of history that memory has dropped and the disk still holds.

    Args:
        stored_from: the oldest revision on disk.
    """

    def __init__(self, stored_from: int) -> None:
        self._done = stored_from - 1
        self._done_bytes = 0
        self._credit = 0
        self._roomy = False
        self._failing = False

    def wrote(self, rows: int) -> None:
        """A commit of `rows` is over: so many slices may come before the next one."""
        self._credit = 2 + rows // (SLICE // 2)
        self._failing = False

    def idle(self) -> None:
        """No write waits: a slice disturbs nobody."""
        if not self._failing:
            self._credit = max(self._credit, 1)

    def due(self, compacted: int, dropped_bytes: int) -> int | None:
        """The revision up to which the next slice goes, or None if none is due now.

        Args:
            dropped_bytes: what the history in memory has dropped, ever.
        """
        if self._credit <= 0:
            return None
        if compacted - self._done >= SLICE:
            return self._done + SLICE
        if compacted > self._done and dropped_bytes - self._done_bytes >= SLICE_BYTES:
            return compacted
        return self._done if self._roomy else None

    def did(self, upto: int, dropped_bytes: int, *, roomy: bool) -> None:
        """A slice is over; `roomy`: the files still hold much room that is free."""
        self._roomy = roomy
        self._done = upto
        self._done_bytes = dropped_bytes
        self._credit -= 1

    def failed(self) -> None:
        """A slice was refused: none before the next successful commit."""
        self._credit = 0
        self._failing = True
