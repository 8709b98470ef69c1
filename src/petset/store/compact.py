"""How much old history is let go of on disk, and when: small slices between commits.

Invariant: a slice is never more than `SLICE` revisions, so that no writer waits long for one.
Invariant: slices keep pace with writing, whatever its speed.
"""

SLICE = 200
"""Revisions let go of in one transaction."""


class Compaction:
    """The backlog of history that memory has dropped and the disk still holds.

    Args:
        stored_from: the oldest revision on disk.
    """

    def __init__(self, stored_from: int) -> None:
        self._done = stored_from - 1
        self._credit = 0

    def wrote(self, rows: int) -> None:
        """A commit of `rows` is over: so many slices may come before the next one."""
        self._credit = 1 + rows // (SLICE // 2)

    def due(self, compacted: int) -> int | None:
        """The revision up to which the next slice goes, or None if none is due now."""
        if self._credit <= 0 or compacted - self._done < SLICE:
            return None
        return self._done + SLICE

    def did(self, upto: int) -> None:
        """A slice is over."""
        self._done = upto
        self._credit -= 1

    def failed(self) -> None:
        """A slice was refused: none before the next successful commit."""
        self._credit = 0
