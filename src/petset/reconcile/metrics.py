"""Metrics of controllers, as plain values that the server can render.

Counters are kept here; gauges are asked for when somebody looks (`add`), so that nothing has to be
taken back when an object is gone.

Invariant: knows no metrics library; `samples` gives what one needs. Names that end in `_total` are
counters, all others gauges.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

Sample = tuple[str, Mapping[str, str], float]
"""Name, labels, value."""


class Metrics:
    """Counters by name and labels, and gauges by who tells them."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()
        self._gauges: list[Callable[[], Iterable[Sample]]] = []

    def count(self, name: str, /, **labels: str) -> None:
        """Add one to the counter `name` with `labels`."""
        self._counts[name, tuple(sorted(labels.items()))] += 1

    def value(self, name: str, /, **labels: str) -> int:
        """The counter's present value."""
        return self._counts[name, tuple(sorted(labels.items()))]

    def add(self, gauges: Callable[[], Iterable[Sample]]) -> None:
        """Ask `gauges` whenever samples are wanted."""
        self._gauges.append(gauges)

    def samples(self) -> Iterator[Sample]:
        """Every counter, sorted, then what the gauges say."""
        for (name, labels), value in sorted(self._counts.items()):
            yield name, dict(labels), value
        for gauges in self._gauges:
            yield from gauges()
