"""ConfigMap and ServiceAccount: keys, sizes, immutability, columns."""

from typing import Any

from petset.api import names
from petset.api.check import Faults, child, items, worded
from petset.api.errors import FieldError, forbidden_field, invalid, too_long
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, annotations_of, name_of
from petset.api.table import AGE, NAME, age_of

MAX_BYTES = 1024 * 1024
UTF8_MAX = 4
"""Bytes that a character takes at most."""
_MOUNTABLE = "kubernetes.io/enforce-mountable-secrets"


def decoded_bytes(value: object) -> int:
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
        size += decoded_bytes(value)
    if size > MAX_BYTES:
        yield too_long("[]", MAX_BYTES)  # upstream's way to name the whole object


def frozen_faults(new: Obj, old: Obj, keys: tuple[str, ...]) -> Faults:
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
    return list(frozen_faults(new, old, ("data", "binaryData")))


def _config_cells(config: Obj, now: float) -> list[Any]:
    count = len(child(config, "data")) + len(child(config, "binaryData"))
    return [name_of(config), count, age_of(config, now)]


def _account_cells(account: Obj, now: float) -> list[Any]:
    return [name_of(account), len(items(account, "secrets")), age_of(account, now)]


CONFIG_MAP = Behaviour(
    validate=validate,
    validate_update=validate_update,
    table=Table((NAME, Column("Data"), AGE), _config_cells),
)


def account_warnings(account: Obj) -> list[str]:
    """The annotation that restricts which Secrets pods may mount is on its way out."""
    if _MOUNTABLE not in annotations_of(account):
        return []
    return [
        f"metadata.annotations[{_MOUNTABLE}]: deprecated in v1.32+; "
        "prefer separate namespaces to isolate access to mounted secrets"
    ]


def prepare_account(account: MutableObj) -> None:
    """Of the Secrets that an account may use, only the names are kept."""
    if items(account, "secrets"):
        account["secrets"] = [{"name": one.get("name") or ""} for one in account["secrets"]]


def prepare_account_update(new: MutableObj, old: Obj) -> None:
    """The same for an update."""
    del old
    prepare_account(new)


SERVICE_ACCOUNT = Behaviour(
    prepare_create=prepare_account,
    prepare_update=prepare_account_update,
    warnings=account_warnings,
    table=Table((NAME, Column("Secrets"), AGE), _account_cells),
    deletion_returns_object=True,
)
