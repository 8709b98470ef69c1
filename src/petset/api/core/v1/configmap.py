"""ConfigMap and Secret: keys, sizes, immutability, columns."""

import base64
from typing import Any

from petset.api import names
from petset.api.check import Faults, child, fill, items, needed, worded
from petset.api.errors import FieldError, forbidden_field, invalid, required, too_long
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, annotations_of, name_of
from petset.api.table import AGE, NAME, age_of

MAX_BYTES = 1024 * 1024
UTF8_MAX = 4
"""Bytes that a character takes at most."""
_ACCOUNT = "kubernetes.io/service-account.name"
_REQUIRED_KEYS = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}


def _decoded_bytes(value: object) -> int:
    """The size of base64 text when decoded."""
    text = str(value or "")
    return len(text) * 3 // 4 - text[-2:].count("=")


def validate(config: Obj) -> list[FieldError]:
    """Every fault of a ConfigMap."""
    data, binary = child(config, "data"), child(config, "binaryData")
    return [] if not binary and _is_plain(data) else list(_faults(data, binary))


def _is_plain(data: Obj) -> bool:
    """Whether `data` is surely without a fault, as most is."""
    texts = data.values()
    return (
        {str}.issuperset(map(type, texts))
        and UTF8_MAX * sum(map(len, texts)) <= MAX_BYTES
        and names.are_fine_config_keys(data)
    )


def _faults(data: Obj, binary: Obj) -> Faults:
    size = 0
    for key, value in data.items():
        yield from worded(f"data[{key}]", key, names.config_key(key))
        if key in binary:
            words = "duplicate of key present in binaryData"
            yield invalid(f"data[{key}]", key, words)
        size += len(str(value).encode())
    for key, value in binary.items():
        yield from worded(f"binaryData[{key}]", key, names.config_key(key))
        size += _decoded_bytes(value)
    if size > MAX_BYTES:
        yield too_long("[]", MAX_BYTES)  # upstream's way to name the whole object


def _frozen_faults(new: Obj, old: Obj, keys: tuple[str, ...]) -> Faults:
    """An object marked immutable keeps the mark and its data."""
    if not old.get("immutable"):
        return
    if not new.get("immutable"):
        yield forbidden_field("immutable", "field is immutable when `immutable` is set")
    for key in keys:
        if (new.get(key) or {}) != (old.get(key) or {}):
            yield forbidden_field(key, "field is immutable when `immutable` is set")


def validate_update(new: Obj, old: Obj) -> list[FieldError]:
    """An immutable ConfigMap stays as it is."""
    return list(_frozen_faults(new, old, ("data", "binaryData")))


def default_secret(secret: MutableObj) -> None:
    """The type, and the readable form of data merged into data."""
    fill(secret, "type", "Opaque")
    plain = secret.pop("stringData", None)
    if isinstance(plain, dict) and plain:
        encoded = {k: base64.b64encode(str(v).encode()).decode() for k, v in plain.items()}
        secret["data"] = {**(secret.get("data") or {}), **encoded}


def validate_secret(secret: Obj) -> list[FieldError]:
    """Every fault of a Secret."""
    return list(_secret_faults(secret))


def _secret_faults(secret: Obj) -> Faults:
    data, kind = child(secret, "data"), secret.get("type")
    for key in data:
        yield from worded(f"data[{key}]", key, names.config_key(key))
    if sum(_decoded_bytes(value) for value in data.values()) > MAX_BYTES:
        yield too_long("data", MAX_BYTES)
    yield from needed("type", kind, lambda _: [])
    for key in _REQUIRED_KEYS.get(kind or "", ()):
        if key not in data:
            yield required(f"data[{key}]")
    if kind == "kubernetes.io/basic-auth" and not {"username", "password"} & {*data}:
        yield required("data[username]")
        yield required("data[password]")
    if kind == "kubernetes.io/service-account-token" and not annotations_of(secret).get(_ACCOUNT):
        yield required(f"metadata.annotations[{_ACCOUNT}]")


def validate_secret_update(new: Obj, old: Obj) -> list[FieldError]:
    """The type stays, and an immutable Secret stays as it is."""
    faults = list(_frozen_faults(new, old, ("data",)))
    if new.get("type") != old.get("type"):
        faults.append(invalid("type", new.get("type"), "field is immutable"))
    return faults


def _config_cells(config: Obj, now: float) -> list[Any]:
    count = len(child(config, "data")) + len(child(config, "binaryData"))
    return [name_of(config), count, age_of(config, now)]


def _secret_cells(secret: Obj, now: float) -> list[Any]:
    return [
        name_of(secret),
        secret.get("type") or "",
        len(child(secret, "data")),
        age_of(secret, now),
    ]


def _account_cells(account: Obj, now: float) -> list[Any]:
    return [name_of(account), len(items(account, "secrets")), age_of(account, now)]


CONFIG_MAP = Behaviour(
    validate=validate,
    validate_update=validate_update,
    table=Table((NAME, Column("Data"), AGE), _config_cells),
)

SECRET = Behaviour(
    default=default_secret,
    validate=validate_secret,
    validate_update=validate_secret_update,
    fields={"type": lambda secret: str(secret.get("type") or "")},
    table=Table((NAME, Column("Type"), Column("Data"), AGE), _secret_cells),
)

SERVICE_ACCOUNT = Behaviour(
    table=Table((NAME, Column("Secrets"), AGE), _account_cells),
    deletion_returns_object=True,
)
