"""Counters of what controllers did, as plain numbers that the server can print.

Invariant: knows no metrics library; `samples` gives what one needs.
"""

from collections import Counter
from collections.abc import Iterator, Mapping


class Metrics:
    """Counters by name and labels."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()

    def count(self, name: str, /, **labels: str) -> None:
        """Add one to the counter `name` with `labels`."""
        self._counts[name, tuple(sorted(labels.items()))] += 1

    def value(self, name: str, /, **labels: str) -> int:
        """The counter's present value."""
        return self._counts[name, tuple(sorted(labels.items()))]

    def samples(self) -> Iterator[tuple[str, Mapping[str, str], int]]:
        """Every counter: name, labels, value; sorted."""
        for (name, labels), value in sorted(self._counts.items()):
            yield name, dict(labels), value
