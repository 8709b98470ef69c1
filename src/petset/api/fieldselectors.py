"""Field selectors: `path=value` terms joined by commas. Grammar and words follow upstream."""

import re
from typing import NamedTuple

from petset.api import errors


class FieldTerm(NamedTuple):
    """One condition of a field selector: `path` equals (or not) `value`."""

    path: str
    equal: bool
    value: str

    def matches(self, value: str) -> bool:
        """Whether the field's text fulfils the term."""
        return (value == self.value) is self.equal

    def __str__(self) -> str:
        escaped = re.sub(r"([\\,=])", r"\\\1", self.value)
        return f"{self.path}{'=' if self.equal else '!='}{escaped}"


_TERM = re.compile(r"(?:[^\\,]|\\.|\\$)+", re.DOTALL)
_FIELD = re.compile(r"((?:[^\\=!]|\\.|!(?!=))*)(!=|==|=)(.*)", re.DOTALL)


def parse(text: str) -> list[FieldTerm]:
    """The terms of a field selector (`status.phase!=Failed,metadata.name=a`). All must hold.

    Raises StatusError 400. Which paths a resource knows is its own matter.
    """
    terms = []
    for part in _TERM.findall(text):
        match = _FIELD.fullmatch(part)
        if match is None:
            raise errors.bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
        terms.append(FieldTerm(match[1], match[2] != "!=", _unescape(match[3])))
    return terms


def _unescape(value: str) -> str:
    out, position = [], 0
    while position < len(value):
        char = value[position]
        if char == "\\":
            position += 1
            char = value[position : position + 1]
            if not char or char not in "\\,=":
                raise errors.bad_request(
                    f"invalid field selector: invalid escape sequence: \\{char}"
                )
        elif char in ",=":
            raise errors.bad_request(
                f"invalid field selector: unescaped character in value: {ord(char)}"
            )
        out.append(char)
        position += 1
    return "".join(out)
