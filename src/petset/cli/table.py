"""Prints the server's Tables as kubectl lays them out: columns padded by three spaces."""

from collections.abc import Mapping, Sequence
from typing import Any

_GAP = 3


def lines(
    table: Mapping[str, Any], *, wide: bool = False, namespaces: bool = False, header: bool = True
) -> list[str]:
    """The lines of a Table; columns with a priority over 0 only when `wide`."""
    definitions = table.get("columnDefinitions") or []
    shown = [i for i, d in enumerate(definitions) if wide or not d.get("priority")]
    rows = table.get("rows") or []
    if not rows and not definitions:
        return []
    body = []
    for row in rows:
        cells = [_text(row["cells"][i]) if i < len(row["cells"]) else "" for i in shown]
        if namespaces:
            meta = (row.get("object") or {}).get("metadata") or {}
            cells.insert(0, meta.get("namespace", ""))
        body.append(cells)
    head = [definitions[i]["name"].upper() for i in shown]
    if namespaces:
        head.insert(0, "NAMESPACE")
    return _pad([head, *body] if header else body)


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    first, newline, _ = str(cell).partition("\n")
    return f"{first}..." if newline else first


def _pad(rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    widths = [max(len(row[i]) for row in rows) + _GAP for i in range(len(rows[0]))]
    return ["".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
