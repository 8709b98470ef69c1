"""Looking into stored objects without decoding all of them.

Invariant: an answer read from the bytes is the one that decoding would give; where the bytes are
not in the form in which the server itself stores them, everything is decoded.
"""

import re
from functools import lru_cache

import orjson

from petset.api.meta import Obj

DECODED_MAX = 128
DECODED_BYTES_MAX = 32 * 1024
"""Decoded objects cached: every group of watchers looks at the same event."""

_TEXTS = b"name|generateName|namespace|uid|resourceVersion|creationTimestamp|deletionTimestamp"
_TEXT = rb'"(?:%b)":"[^"\\]*"' % _TEXTS
_NUMBER = rb'"(?:generation|deletionGracePeriodSeconds)":\d+'
_LABELS = re.compile(
    rb'\{"kind":"[^"\\]*","apiVersion":"[^"\\]*","metadata":\{(?:(?:%b|%b),)*"labels":(\{[^{}]*\})'
    % (_TEXT, _NUMBER)
)
"""The head of a stored object as far as its labels, whose keys and values hold no braces."""
_NODE = re.compile(rb'[{,]"nodeName":"([^"\\]*)"\},"status":\{')


def decoded(value: bytes) -> Obj:
    """The object of `value`, shared by all who ask: not to be changed."""
    return _kept(value) if len(value) <= DECODED_BYTES_MAX else _kept.__wrapped__(value)


@lru_cache(maxsize=DECODED_MAX)
def _kept(value: bytes) -> Obj:
    obj: Obj = orjson.loads(value)
    return obj


def labels_text(value: bytes) -> bytes | None:
    """The JSON of an object's labels; None if they are not found without decoding."""
    found = _LABELS.match(value)
    return None if found is None else found[1]


def node_name(value: bytes) -> str | None:
    """spec.nodeName of a pod, "" where it has none; None if that is not found without decoding.

    Of a pod's fields none but its own status is called so and is an object, and what stands before
    that is the spec: bindings put the name at its end.
    """
    if b'"nodeName":' not in value:
        return ""
    found = _NODE.search(value)
    if found is None or value.count(b'"status":{') != 1:
        return None
    return found[1].decode()
