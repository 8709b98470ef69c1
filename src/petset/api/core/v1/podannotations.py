"""Annotations that mean something to pods: mirror pods, deletion cost, old forms of profiles."""

import re
from collections.abc import Iterator, Mapping

from petset.api.check import Faults, child, items, text
from petset.api.core.v1.projected import descending
from petset.api.errors import forbidden_field, invalid
from petset.api.meta import Obj

MIRROR = "kubernetes.io/config.mirror"
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
SECCOMP_CONTAINER = "container.seccomp.security.alpha.kubernetes.io/"
APPARMOR = "container.apparmor.security.beta.kubernetes.io/"

_COST = re.compile(r"-?[1-9][0-9]{0,9}|0")
_LOCAL = "localhost/"
_DEFAULTS = ("runtime/default", "docker/default")
_KINDS = ("initContainers", "containers", "ephemeralContainers")


def faults(path: str, annotations: Mapping[str, str], spec: Obj) -> Faults:
    """Every fault of the annotations of a pod or a template that Kubernetes gives a meaning."""
    if not annotations:
        return
    if MIRROR in annotations and not spec.get("nodeName"):
        words = "must set spec.nodeName if mirror pod annotation is set"
        yield invalid(f"{path}[{MIRROR}]", annotations[MIRROR], words)
    cost = annotations.get(DELETION_COST)
    if cost is not None and not (_COST.fullmatch(cost) and -(2**31) <= int(cost) < 2**31):
        yield invalid(f"{path}[{DELETION_COST}]", cost, "must be a 32bit integer")
    for key, value in annotations.items():
        if key == SECCOMP_POD or key.startswith(SECCOMP_CONTAINER):
            yield from _seccomp_faults(f"{path}.{key}", value)
    known = {text(one.get("name")) for _, one in containers("", spec)}
    for key, value in annotations.items():
        if key.startswith(APPARMOR):
            name, where = key.removeprefix(APPARMOR), f"{path}[{key}]"
            if name not in known:
                yield invalid(where, name, "container not found")
            if value not in ("", "runtime/default", "unconfined") and not value.startswith(_LOCAL):
                yield invalid(where, value, f'invalid AppArmor profile name: "{value}"')


def _seccomp_faults(path: str, value: str) -> Faults:
    if value.startswith(_LOCAL):
        yield from descending(path, value.removeprefix(_LOCAL))
    elif value not in (*_DEFAULTS, "unconfined"):
        yield invalid(path, value, "must be a valid seccomp profile")


def containers(path: str, spec: Obj) -> Iterator[tuple[str, Obj]]:
    """Containers of every sort with the paths where they are."""
    for kind in _KINDS:
        for i, container in enumerate(items(spec, kind)):
            yield f"{path}.{kind}[{i}]", container


def update_faults(new: Mapping[str, str], old: Mapping[str, str]) -> Faults:
    """Annotations that neither come nor change nor go after creation."""
    for key, value in old.items():
        if new.get(key) == value:
            continue
        where = f"metadata.annotations[{key}]"
        if key.startswith(APPARMOR):
            yield forbidden_field(where, "may not remove or update AppArmor annotations")
        if key == MIRROR:
            yield forbidden_field(where, "may not remove or update mirror pod annotation")
    for key in new:
        if key not in old:
            where = f"metadata.annotations[{key}]"
            if key.startswith(APPARMOR):
                yield forbidden_field(where, "may not add AppArmor annotations")
            if key == MIRROR:
                yield forbidden_field(where, "may not add mirror pod annotation")


def match_faults(annotations: Mapping[str, str], spec: Obj) -> Faults:
    """Profiles in annotations must be those in fields, where both are given."""
    if not annotations:
        return
    whole = child(spec, "securityContext")
    if SECCOMP_POD in annotations:
        where = "spec.securityContext.seccompProfile"
        profile = child(whole, "seccompProfile")
        yield from _match(where, annotations[SECCOMP_POD], profile, "seccomp")
    for path, container in containers("spec", spec):
        own = child(container, "securityContext")
        name = text(container.get("name"))
        if f"{SECCOMP_CONTAINER}{name}" in annotations:
            where = f"{path}.securityContext.seccompProfile"
            value = annotations[f"{SECCOMP_CONTAINER}{name}"]
            yield from _match(where, value, child(own, "seccompProfile"), "seccomp")
        if f"{APPARMOR}{name}" in annotations:
            where = f"{path}.securityContext.appArmorProfile"
            profile = child(own, "appArmorProfile") or child(whole, "appArmorProfile")
            yield from _match(where, annotations[f"{APPARMOR}{name}"], profile, "apparmor")


def _match(path: str, value: str, profile: Obj, what: str) -> Faults:
    kind = profile.get("type")
    local = kind == "Localhost" and value.startswith(_LOCAL)
    if kind == "Unconfined":
        same = value == "unconfined"
    elif kind == "RuntimeDefault":
        same = value in (_DEFAULTS if what == "seccomp" else _DEFAULTS[:1])
    else:
        same = kind is None or local
    if not same:
        yield forbidden_field(f"{path}.type", f"{what} type in annotation and field must match")
    elif local and value.removeprefix(_LOCAL) != profile.get("localhostProfile"):
        words = f"{what} profile in annotation and field must match"
        yield forbidden_field(f"{path}.localhostProfile", words)
