"""The numbers of fields, from `messages.txt`: facts of the published API, as data.

One message a line: `Name: 1 field:type, ...`. Types: none = string, `i` integer, `b` boolean,
`bytes`, `map`, `map<type>`, or a message's name. `field[]` is repeated, `?` marks numbers and
booleans whose presence means something even when they are 0 or false.
"""

import functools
import pkgutil
import re
from collections.abc import Mapping
from dataclasses import dataclass

_FIELD = re.compile(r"(\d+) (\w+)(\[\])?(?::([\w.]+)(?:<(\w+)>)?(\?)?)?")


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message.

    Attributes:
        kind: string, i, b, bytes, map, or the name of a message.
        of: of maps: the kind of their values.
        optional: whether 0 and false mean something.
    """

    name: str
    kind: str = "string"
    of: str = "string"
    repeated: bool = False
    optional: bool = False


Message = Mapping[int, Field]


@functools.cache
def messages() -> Mapping[str, Message]:
    """Every known message by its name."""
    data = pkgutil.get_data("petset.apiserver.protobuf", "messages.txt")
    assert data is not None
    found = {}
    for line in data.decode().splitlines():
        name, _, rest = line.partition(": ")
        found[name] = dict(_field(text) for text in rest.split(", "))
    return found


def _field(text: str) -> tuple[int, Field]:
    match = _FIELD.fullmatch(text)
    if match is None:
        number, _, bare = text.partition(" ")
        return int(number), Field("", bare)
    number, name, repeated, kind, of, optional = match.groups()
    return int(number), Field(
        name, kind or "string", of or "string", repeated is not None, optional is not None
    )


def find(name: str, package: str) -> tuple[str, Message] | None:
    """The message `name` as seen from `package` (`apps.v1`, "" for core), and its full name."""
    for full in (f"{package}.{name}" if package else name, name):
        message = messages().get(full)
        if message is not None:
            return full, message
    return None
