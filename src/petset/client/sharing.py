"""Equal parts of cached objects are kept once: replicas differ in little but their names.

Invariant: what is shared is never mutated, as nothing in a cache is.
"""

from typing import Any

import orjson

from petset.api.meta import MutableObj

ENTRIES_MAX = 4096
"""Parts remembered: at least this many, at most twice as many."""
TEXT_MAX = 128
"""Longer strings are hardly ever equal, and slow to look up."""
PART_BYTES_MAX = 4096
"""Larger parts are not remembered: annotations may have 256 KiB, and what is remembered outlives
the objects that it came from."""

_METADATA = ("labels", "annotations", "ownerReferences", "finalizers")
_METADATA_TEXTS = ("namespace", "creationTimestamp", "generateName")


class Sharing:
    """Remembers parts of objects, the more recently seen ones.

    Two generations: a full table becomes the old one; entries found there move to the new one.
    """

    def __init__(self) -> None:
        self._new: dict[bytes | str, Any] = {}
        self._old: dict[bytes | str, Any] = {}

    def condense(self, obj: MutableObj) -> None:
        """Replace parts of `obj`, which is the caller's own, by equal ones seen before."""
        metadata = obj.get("metadata")
        if metadata:
            for key in _METADATA:
                if key in metadata:
                    metadata[key] = self._part(metadata[key])
            for key in _METADATA_TEXTS:
                if key in metadata:
                    metadata[key] = self._value(metadata[key])
        for key, value in obj.items():
            if key != "metadata":
                obj[key] = self._below(value) if type(value) is dict else self._value(value)

    def _below(self, part: dict[str, Any]) -> dict[str, Any]:
        known = self._new
        for key, value in part.items():
            kind = type(value)
            if kind is str:
                if len(value) <= TEXT_MAX:
                    part[key] = known.get(value) or self._remember(value, value)
            elif kind is dict or kind is list:
                part[key] = self._part(value)
        return part

    def _value(self, value: Any) -> Any:
        kind = type(value)
        if kind is str:
            return self._text(value) if len(value) <= TEXT_MAX else value
        return self._part(value) if kind is dict or kind is list else value

    def _text(self, text: str) -> str:
        known: str = self._new.get(text) or self._remember(text, text)
        return known

    def _part(self, part: Any) -> Any:
        key = orjson.dumps(part)
        found = self._new.get(key)
        if found is not None:
            return found
        if type(part) is list and key not in self._old:
            for item in part:
                if type(item) is dict:
                    self._below(item)
        return self._remember(key, part) if len(key) <= PART_BYTES_MAX else part

    def _remember(self, key: bytes | str, part: Any) -> Any:
        """What the old table has for `key`, else `part`; it goes into the new one."""
        found = self._old.get(key, part)
        if len(self._new) >= ENTRIES_MAX:
            self._old, self._new = self._new, {}
        self._new[key] = found
        return found
