"""Secret: types and the keys that they need, sizes, immutability, columns."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import orjson

from petset.api import names
from petset.api.check import IMMUTABLE, Faults, child, fill, worded
from petset.api.core.v1.configmap import MAX_BYTES, decoded_bytes, frozen_faults
from petset.api.errors import FieldError, invalid, required, too_long
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, annotations_of, name_of
from petset.api.table import AGE, NAME, age_of

_ACCOUNT = "kubernetes.io/service-account.name"
_TLS = "kubernetes.io/tls"
_JSON_KEYS = {
    "kubernetes.io/dockercfg": ".dockercfg",
    "kubernetes.io/dockerconfigjson": ".dockerconfigjson",
}
_REDACTED = "<secret contents redacted>"


def default(secret: MutableObj) -> None:
    """The type, and the readable form of data merged into data."""
    fill(secret, "type", "Opaque")
    plain = secret.pop("stringData", None)
    if isinstance(plain, dict) and plain:
        encoded = {k: base64.b64encode(str(v).encode()).decode() for k, v in plain.items()}
        secret["data"] = {**(secret.get("data") or {}), **encoded}


def validate(secret: Obj) -> list[FieldError]:
    """Every fault of a Secret."""
    return list(_faults(secret))


def _faults(secret: Obj) -> Faults:
    data = child(secret, "data")
    for key in data:
        yield from worded(f"data[{key}]", key, names.config_key(key))
    if sum(decoded_bytes(value) for value in data.values()) > MAX_BYTES:
        yield too_long("data", MAX_BYTES)
    yield from _type_faults(secret.get("type"), data, annotations_of(secret))


def _type_faults(kind: object, data: Obj, annotations: Mapping[str, str]) -> Faults:
    match kind:
        case "kubernetes.io/service-account-token":
            if not annotations.get(_ACCOUNT):
                yield required(f"metadata.annotations[{_ACCOUNT}]")
        case "kubernetes.io/dockercfg" | "kubernetes.io/dockerconfigjson":
            yield from _json_faults(_JSON_KEYS[kind], data)
        case "kubernetes.io/basic-auth":
            keys = ("username", "password")
            if not {*keys} & {*data}:
                yield from (required(f"data[{key}]") for key in keys)
        case "kubernetes.io/ssh-auth":
            if not data.get("ssh-privatekey"):
                yield required("data[ssh-privatekey]")
        case "kubernetes.io/tls":
            missing = [key for key in ("tls.crt", "tls.key") if key not in data]
            yield from (required(f"data[{key}]") for key in missing)
        case _:
            pass


def _json_faults(key: str, data: Obj) -> Faults:
    if key not in data:
        yield required(f"data[{key}]")
    elif words := _json_object_fault(_decoded(data[key])):
        yield invalid(f"data[{key}]", _REDACTED, words)


def _decoded(value: object) -> bytes:
    try:
        return base64.b64decode(str(value or ""))
    except binascii.Error:
        return b""


_GO_TYPES = {list: "array", str: "string", bool: "bool", int: "number", float: "number"}


def _json_object_fault(text: bytes) -> str:
    """Why `text` is no JSON object, in the words of upstream's decoder; "" if it is one."""
    stripped = text.strip(b" \t\r\n")
    if not stripped:
        return "unexpected end of JSON input"
    try:
        value: Any = orjson.loads(stripped)
    except orjson.JSONDecodeError:
        first = chr(stripped[0])
        if first not in '{["-0123456789tfn':
            return f"invalid character {_quoted(first)} looking for beginning of value"
        return "unexpected end of JSON input" if first in "{[" else "invalid JSON"
    if value is None or isinstance(value, dict):
        return ""
    kind = _GO_TYPES[type(value)]
    return f"json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"


def _quoted(char: str) -> str:
    return {"'": r"'\''", '"': "'\"'"}.get(char, f"'{char}'")


def validate_update(new: Obj, old: Obj) -> list[FieldError]:
    """The type stays, and an immutable Secret stays as it is."""
    faults = []
    if new.get("type") != old.get("type"):
        faults.append(invalid("type", new.get("type"), IMMUTABLE))
    return [*faults, *frozen_faults(new, old, ("data",))]


def warnings(secret: Obj) -> list[str]:
    """A key pair that nothing can be read from."""
    if secret.get("type") != _TLS:
        return []
    data = child(secret, "data")
    for key, what in (("tls.crt", "certificate"), ("tls.key", "key")):
        if b"-----BEGIN " not in _decoded(data.get(key)):
            return [f"tls: failed to find any PEM data in {what} input"]
    return []


def _cells(secret: Obj, now: float) -> list[Any]:
    return [
        name_of(secret),
        secret.get("type") or "",
        len(child(secret, "data")),
        age_of(secret, now),
    ]


BEHAVIOUR = Behaviour(
    default=default,
    validate=validate,
    validate_update=validate_update,
    warnings=warnings,
    fields={"type": lambda secret: str(secret.get("type") or "")},
    table=Table((NAME, Column("Type"), Column("Data"), AGE), _cells),
)
