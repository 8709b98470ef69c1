"""JSON merge patch (RFC 7386): null deletes, maps merge, everything else is replaced.

Invariant: neither the original nor the patch is changed. The result shares with both what did not
have to be copied: prune it (`api.prune`) or copy it before changing it in place.
"""

from collections.abc import Mapping
from typing import Any

from petset.api import errors
from petset.api.meta import MutableObj, Obj


def apply(original: Obj, patch: Any) -> MutableObj:
    """`original` with `patch` merged in. Raises StatusError 400 if the patch is no object."""
    if not isinstance(patch, Mapping):
        raise errors.bad_request("a merge patch has to be a JSON object")
    return _merge(original, patch)


def _merge(original: Any, patch: Obj) -> MutableObj:
    merged = dict(original) if isinstance(original, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            merged[key] = _merge(merged.get(key), value)
        else:
            merged[key] = value
    return merged
