"""From a protobuf body to the object that its JSON form would be (wire reference, appendix A)."""

import base64
from typing import Any

import orjson

from petset.api.errors import StatusError, bad_request
from petset.api.meta import MutableObj, format_time
from petset.apiserver.protobuf import table, wire
from petset.apiserver.protobuf.table import Field
from petset.apiserver.protobuf.wire import WireError

MAGIC = b"k8s\x00"
INLINED = frozenset(
    {
        "volumeSource",
        "handler",
        "localObjectReference",
        "ingressRuleValue",
        "persistentVolumeSource",
        "ephemeralContainerCommon",
    }
)
"""Fields that JSON does not have: what they hold stands in the outer object."""
RENAMED = {"uID": "uid"}
DEPTH_MAX = 64


def decode(data: bytes, *, with_status: bool = False) -> MutableObj:
    """The object in a protobuf body. Raises StatusError 400, 415.

    Clients always send a status, mostly an empty one that the server ignores: unless
    `with_status`, one of an unknown message is left out.
    """
    if not data.startswith(MAGIC):
        raise bad_request("the body is not in Kubernetes' protobuf form: it lacks the magic number")
    try:
        envelope = dict(wire.fields(data[len(MAGIC) :]))
        named = dict(wire.fields(_bytes(envelope.get(1, b""))))
        api_version, kind = _text(named.get(1, b"")), _text(named.get(2, b""))
        obj = _top(api_version, kind, _bytes(envelope.get(2, b"")), with_status=with_status)
    except WireError as error:
        raise bad_request(f"the protobuf body cannot be decoded: {error}") from None
    return {"kind": kind, "apiVersion": api_version, **obj}


def _top(api_version: str, kind: str, raw: bytes, *, with_status: bool) -> MutableObj:
    group, _, version = api_version.rpartition("/")
    package = f"{group.partition('.')[0]}.{version}" if group else ""
    if kind == "DeleteOptions":
        package = ""
    found = table.messages().get(f"{package}.{kind}" if package else kind)
    if found is None:
        raise _unknown(f"{api_version} {kind}")
    if not with_status:
        found = {n: _ignored(field, package) for n, field in found.items()}
    return _message(found, package, raw, 0)


def _ignored(field: Field, package: str) -> Field:
    """A status that cannot be decoded becomes bytes, which are dropped."""
    if field.name == "status" and table.find(field.kind, package) is None:
        return Field("status", "dropped")
    return field


def _unknown(what: str) -> StatusError:
    return StatusError(
        415,
        "UnsupportedMediaType",
        f"petset cannot decode {what} from protobuf: send application/json",
    )


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise WireError("a number where bytes were expected")
    return value


def _text(value: int | bytes) -> str:
    try:
        return _bytes(value).decode()
    except UnicodeDecodeError:
        raise WireError("a text is not UTF-8") from None


def _message(message: table.Message, package: str, data: bytes, depth: int) -> MutableObj:
    if depth > DEPTH_MAX:
        raise WireError("nested too deeply")
    obj: MutableObj = {}
    for number, raw in wire.fields(data):
        field = message.get(number)
        if field is None:
            raise _unknown(f"field number {number}")
        _put(obj, field, package, raw, depth)
    return obj


def _put(obj: MutableObj, field: Field, package: str, raw: int | bytes, depth: int) -> None:
    name = RENAMED.get(field.name, field.name)
    if field.kind == "dropped":
        return
    if field.kind == "map":
        key, value = _entry(field.of, package, raw, depth)
        obj.setdefault(name, {})[key] = value
        return
    value = _value(field.kind, package, raw, depth)
    if field.repeated:
        obj.setdefault(name, []).append(value)
    elif name in INLINED:
        obj.update(value)
    elif value or field.optional or _means_something(field, value):
        obj[name] = value


def _means_something(field: Field, value: Any) -> bool:
    """Whether an empty value was set on purpose: messages are, empty scalars are not."""
    if isinstance(value, dict):
        return True
    return field.kind == "IntOrString" and field.name != "targetPort"


def _entry(kind: str, package: str, raw: int | bytes, depth: int) -> tuple[str, Any]:
    pair = dict(wire.fields(_bytes(raw)))
    return _text(pair.get(1, b"")), _value(kind, package, pair.get(2, b""), depth)


def _value(kind: str, package: str, raw: int | bytes, depth: int) -> Any:
    match kind:
        case "string":
            return _text(raw)
        case "bytes":
            return base64.b64encode(_bytes(raw)).decode()
        case "i" | "b":
            if not isinstance(raw, int):
                raise WireError("bytes where a number was expected")
            return bool(raw) if kind == "b" else wire.signed(raw)
        case "Time":
            return _time(_bytes(raw))
        case "Quantity":
            return _text(dict(wire.fields(_bytes(raw))).get(1, b""))
        case "IntOrString":
            return _int_or_string(_bytes(raw))
        case "FieldsV1":
            return _json(dict(wire.fields(_bytes(raw))).get(1, b""))
        case "ExtraValue":
            return [_text(item) for _, item in wire.fields(_bytes(raw))]
        case _:
            return _nested(kind, package, _bytes(raw), depth)


def _nested(kind: str, package: str, raw: bytes, depth: int) -> Any:
    if not raw:
        return {}
    found = table.find(kind, package)
    if found is None:
        raise _unknown(f"{package}.{kind}" if package else kind)
    full, message = found
    below = package if full.startswith(f"{package}.") else ""
    return _message(message, below, raw, depth + 1)


def _time(raw: bytes) -> str:
    parts = dict(wire.fields(raw))
    seconds = parts.get(1, 0)
    if not isinstance(seconds, int):
        raise WireError("a time without seconds")
    return format_time(wire.signed(seconds)) if parts else ""


def _int_or_string(raw: bytes) -> int | str:
    parts = dict(wire.fields(raw))
    if parts.get(1):
        return _text(parts.get(3, b""))
    number = parts.get(2, 0)
    return wire.signed(number) if isinstance(number, int) else 0


def _json(raw: int | bytes) -> Any:
    try:
        return orjson.loads(_bytes(raw) or b"{}")
    except orjson.JSONDecodeError:
        raise WireError("FieldsV1 is no JSON") from None
