"""Volumes made of files: keys of ConfigMaps and Secrets, fields of the pod, tokens, certificates.

Faults of a downwardAPI's files, of a token's path and of clashing paths are told at the source
and not at the item, as upstream does.
"""

from collections.abc import Iterator

from petset.api import names, selectors
from petset.api.check import Faults, between, child, items, number, one_of, text, worded
from petset.api.core.v1.env import FILE_PATHS, field_ref_faults, resource_ref_faults
from petset.api.errors import forbidden_field, invalid, required
from petset.api.meta import Obj

TOKEN_MIN_S = 600
TOKEN_MAX_S = 2**32
CERTIFICATE_MIN_S = 3600
CERTIFICATE_MAX_S = 91 * 24 * 3600
KEY_TYPES = ("ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519", "RSA3072", "RSA4096")


def mode_faults(path: str, value: object) -> Faults:
    """The permission bits of a file."""
    if isinstance(value, int) and not 0 <= value <= 0o777:
        yield invalid(path, value, "must be a number between 0 and 0777 (octal), both inclusive")


def no_backsteps(path: str, value: str) -> Faults:
    """A path without `..`."""
    if ".." in value.split("/"):
        yield invalid(path, value, "must not contain '..'")


def descending(path: str, value: str) -> Faults:
    """A path inside a volume: relative, never upwards."""
    if value.startswith("/"):
        yield invalid(path, value, "must be a relative path")
    yield from no_backsteps(path, value)


def _file_path(path: str, value: str) -> Faults:
    yield from descending(path, value)
    if value.startswith("..") and not value.startswith("../"):
        yield invalid(path, value, "must not start with '..'")


def _needed_file_path(path: str, value: str) -> Faults:
    if not value:
        yield required(path)
    yield from _file_path(path, value)


def key_faults(path: str, source: Obj) -> Faults:
    """Every fault of the keys that are to become files."""
    for i, item in enumerate(items(source, "items")):
        where = f"{path}.items[{i}]"
        if not item.get("key"):
            yield required(f"{where}.key")
        yield from _needed_file_path(f"{where}.path", text(item.get("path")))
        yield from mode_faults(f"{where}.mode", item.get("mode"))


def downward_file_faults(path: str, item: Obj) -> Faults:
    """Every fault of one file with a field or a resource of the pod."""
    yield from _needed_file_path(f"{path}.path", text(item.get("path")))
    field, resource = item.get("fieldRef"), item.get("resourceFieldRef")
    if field is not None:
        yield from field_ref_faults(f"{path}.fieldRef", field, FILE_PATHS)
        if resource is not None:
            words = "fieldRef and resourceFieldRef can not be specified simultaneously"
            yield invalid(path, "resource", words)
    elif resource is not None:
        yield from resource_ref_faults(f"{path}.resourceFieldRef", resource, in_volume=True)
    else:
        yield required(path, "one of fieldRef and resourceFieldRef is required")
    yield from mode_faults(f"{path}.mode", item.get("mode"))


def faults(path: str, source: Obj) -> Faults:
    """Every fault of a projected volume."""
    yield from mode_faults(f"{path}.defaultMode", source.get("defaultMode"))
    taken: set[str] = set()
    for i, part in enumerate(items(source, "sources")):
        where = f"{path}.sources[{i}]"
        given = [kind for kind in _PARTS if part.get(kind) is not None]
        for kind in given:
            value = child(part, kind)
            yield from _PARTS[kind](path, f"{where}.{kind}", value)
            for file in _files(kind, value):
                if file in taken:
                    shown = value.get("name") or "" if kind in _OBJECTS else file
                    yield invalid(path, shown, "conflicting duplicate paths")
                taken.add(file)
        if len(given) > 1:
            yield forbidden_field(where, "may not specify more than 1 volume type per source")


_OBJECTS = ("secret", "configMap")
_CERTIFICATE_PATHS = ("credentialBundlePath", "keyPath", "certificateChainPath")


def _files(kind: str, value: Obj) -> Iterator[str]:
    """The files that a part makes, as far as they are known."""
    holders = items(value, "items") if kind in (*_OBJECTS, "downwardAPI") else [value]
    keys = _CERTIFICATE_PATHS if kind == "podCertificate" else ("path",)
    for holder in holders:
        for key in keys:
            if kind != "serviceAccountToken" and holder.get(key):
                yield holder[key]


def _object(volume: str, path: str, value: Obj) -> Faults:
    del volume
    if not value.get("name"):
        yield required(f"{path}.name")
    yield from key_faults(path, value)


def _downward(volume: str, path: str, value: Obj) -> Faults:
    del volume
    for item in items(value, "items"):
        yield from downward_file_faults(path, item)


def _token(volume: str, path: str, value: Obj) -> Faults:
    seconds, where = number(value.get("expirationSeconds")), f"{path}.expirationSeconds"
    if seconds < TOKEN_MIN_S:
        yield invalid(where, seconds, "may not specify a duration less than 10 minutes")
    if seconds > TOKEN_MAX_S:
        yield invalid(where, seconds, "may not specify a duration larger than 2^32 seconds")
    file = text(value.get("path"))
    if not file:
        yield required(f"{volume}.path")
    else:
        yield from _file_path(f"{volume}.path", file)


def _trust_bundle(volume: str, path: str, value: Obj) -> Faults:
    del volume
    name, signer = value.get("name"), value.get("signerName")
    selector = value.get("labelSelector")
    if name is not None and signer is not None:
        yield invalid(path, dict(value), "only one of name and signerName may be used")
    elif name is not None:
        if not name:
            yield required(f"{path}.name", "must be a valid object name")
        plain = name.rpartition(":")[2]
        for fault in names.dns_subdomain(plain):
            words = f"not a valid clustertrustbundlename: {fault}"
            yield invalid(f"{path}.name", name, words)
        if selector is not None:
            words = "labelSelector must be unset if name is specified"
            yield invalid(f"{path}.labelSelector", selector, words)
    elif signer is not None:
        if not signer:
            yield required(f"{path}.signerName", "must be a valid signer name")
        if selector is not None:
            yield from selectors.validate(selector, f"{path}.labelSelector")
    else:
        yield required(path, "either name or signerName must be specified")
    yield from _needed_file_path(f"{path}.path", text(value.get("path")))


def _certificate(volume: str, path: str, value: Obj) -> Faults:
    del volume
    if not value.get("signerName"):
        yield required(f"{path}.signerName", "must be a valid signer name")
    yield from one_of(f"{path}.keyType", value.get("keyType"), KEY_TYPES, need=True)
    seconds = value.get("maxExpirationSeconds")
    where = f"{path}.maxExpirationSeconds"
    yield from between(where, seconds, CERTIFICATE_MIN_S, CERTIFICATE_MAX_S)
    given = [key for key in _CERTIFICATE_PATHS if value.get(key)]
    if not given:
        words = "specify at least one of credentialBundlePath, keyPath, and certificateChainPath"
        yield required(path, words)
    for key in given:
        yield from _file_path(f"{path}.{key}", text(value[key]))
    for key in child(value, "userAnnotations"):
        yield from worded(f"{path}.userAnnotations", key, names.qualified_name(key))


_PARTS = {
    "secret": _object,
    "configMap": _object,
    "downwardAPI": _downward,
    "serviceAccountToken": _token,
    "clusterTrustBundle": _trust_bundle,
    "podCertificate": _certificate,
}
