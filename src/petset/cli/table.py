"""Prints the server's Tables as kubectl lays them out.

The layout is that of Go's tabwriter with kubectl's settings: cells at least 6 wide, 3 spaces
between columns, no padding behind the last; widths are remembered from one part to the next.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

_GAP = 3
_WIDTH_MIN = 6
_BREAK = re.compile(r"[\n\r\f]")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]")


class Printer:
    """Lays out Tables of one resource; the header comes before the first row only."""

    def __init__(self, *, wide: bool = False, namespaces: bool = False, prefix: str = "") -> None:
        self._wide = wide
        self._namespaces = namespaces
        self._prefix = prefix
        self._definitions: Sequence[Mapping[str, Any]] = ()
        self._widths: list[int] = []

    def lines(self, tables: Sequence[Mapping[str, Any]]) -> list[str]:
        """The lines of these Tables, laid out together; none when they have no rows."""
        rows: list[list[str]] = []
        for table in tables:
            fresh = bool(table.get("columnDefinitions")) and not self._definitions
            self._definitions = table.get("columnDefinitions") or self._definitions
            if fresh and table.get("rows"):
                rows.append(self._head())
            elif fresh:
                self._definitions = ()
            rows += [self._cells(row) for row in table.get("rows") or []]
        return self._pad(rows)

    def _shown(self) -> list[int]:
        return [i for i, d in enumerate(self._definitions) if self._wide or not d.get("priority")]

    def _head(self) -> list[str]:
        names = [str(self._definitions[i]["name"]).upper() for i in self._shown()]
        return ["NAMESPACE", *names] if self._namespaces else names

    def _cells(self, row: Mapping[str, Any]) -> list[str]:
        values = row["cells"]
        cells = [_text(values[i]) if i < len(values) else "" for i in self._shown()]
        if self._prefix and cells:
            cells[0] = f"{self._prefix}/{cells[0]}"
        if self._namespaces:
            meta = (row.get("object") or {}).get("metadata") or {}
            cells.insert(0, meta.get("namespace", ""))
        return cells

    def _pad(self, rows: Sequence[Sequence[str]]) -> list[str]:
        if not rows:
            return []
        before = self._widths or [_WIDTH_MIN] * len(rows[0])
        self._widths = [
            max(known, *(len(row[i]) + _GAP for row in rows)) for i, known in enumerate(before)
        ]
        return ["".join([*map(str.ljust, row[:-1], self._widths), row[-1]]) for row in rows]


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    first, *more = _BREAK.split(str(cell), maxsplit=1)
    first = _CONTROL.sub(lambda found: f"^{chr(ord(found[0]) ^ 0x40)}", first)
    return f"{first}..." if more else first
