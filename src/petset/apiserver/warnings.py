"""Warning headers of successful answers (RFC 7234, code 299)."""

from collections.abc import Iterable

TOTAL_MAX = 4096
EACH_MAX = 256
"""Once all texts together are over the total, each is cut to so many characters."""


def headers(texts: Iterable[str]) -> list[tuple[str, str]]:
    """One header per distinct text."""
    distinct = list(dict.fromkeys(text for text in texts if text))
    if sum(map(len, distinct)) > TOTAL_MAX:
        distinct = [text[:EACH_MAX] for text in distinct]
    found, size = [], 0
    for text in distinct:
        size += len(text)
        if size > TOTAL_MAX:
            break
        found.append(("Warning", f'299 - "{_escaped(text)}"'))
    return found


def _escaped(text: str) -> str:
    printable = "".join(char if char.isprintable() else " " for char in text)
    return printable.replace("\\", "\\\\").replace('"', '\\"')
