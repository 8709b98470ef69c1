"""JSON patch (RFC 6902).

Invariant: the original is not changed; the operations work on a private copy.
"""

from collections.abc import Mapping
from typing import Any

import jsonpatch
import jsonpointer
import orjson

from petset.api import bodies, errors, prune
from petset.api.errors import StatusError
from petset.api.meta import MutableObj, Obj

OPERATIONS_MAX = 10_000
COPIED_BYTES_MAX = 3 * 1024 * 1024
"""What all `copy` operations of one patch may add, so that a small patch cannot fill memory."""


def apply(original: Obj, patch: Any) -> MutableObj:
    """`original` after the operations of `patch`, one by one.

    Raises StatusError: 400 if the patch is no list of objects, 413 if it has too many operations,
    422 if one of them fails.
    """
    if not isinstance(patch, list) or not all(isinstance(o, Mapping) for o in patch):
        raise errors.bad_request("a JSON patch has to be a list of operations")
    if len(patch) > OPERATIONS_MAX:
        raise _too_many(len(patch))
    result = _run(prune.copy(original), patch)
    if not isinstance(result, dict):
        raise _failed("the patched document is no object")
    if bodies.is_deep(result):
        raise _failed(f"the patched document is nested deeper than {bodies.DEPTH_MAX} levels")
    return result


def _run(document: Any, patch: list[Obj]) -> Any:
    copied = 0
    for index, operation in enumerate(patch):
        try:
            if operation.get("op") == "copy":
                copied += _size(document, operation)
            if copied > COPIED_BYTES_MAX:
                raise _failed(f"the copies of the patch add more than {COPIED_BYTES_MAX} bytes")
            document = jsonpatch.JsonPatch([operation]).apply(document, in_place=True)
        except _FAILURES:
            what = " ".join(f"{k}={errors.show(operation.get(k))}" for k in ("op", "path", "from"))
            raise _failed(f"operation {index} does not apply: {what}") from None
    return document


_FAILURES = (
    jsonpatch.JsonPatchException,
    jsonpointer.JsonPointerException,
    TypeError,  # a path that leads through a scalar
    RecursionError,  # copies of copies, nested without end
)


def _size(document: Any, operation: Obj) -> int:
    source = jsonpointer.JsonPointer(operation.get("from", "")).resolve(document)
    try:
        return len(orjson.dumps(source))
    except orjson.JSONEncodeError:  # nested too deeply
        return COPIED_BYTES_MAX + 1


def _failed(why: str) -> StatusError:
    """Upstream's words, then why. No causes: kubectl would show them in place of the message."""
    text = "the server rejected our request due to an error in our request"
    return StatusError(422, "Invalid", f"{text}: {why}")


def _too_many(count: int) -> StatusError:
    return StatusError(
        413,
        "RequestEntityTooLarge",
        "Request entity too large: The allowed maximum operations in a JSON patch is "
        f"{OPERATIONS_MAX}, got {count}",
    )
