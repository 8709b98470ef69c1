"""Manifests, indexes and configurations of images: JSON to values. Pure.

OCI and Docker (schema 2) forms alike. What is not supported is refused by name.
"""

import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
ACCEPT = (OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST)

_LAYER_TYPES = re.compile(
    r"application/vnd\.(?:oci\.image\.layer\.v1\.tar(?:\+gzip|\+zstd)?"
    r"|docker\.image\.rootfs\.diff\.tar(?:\.gzip|\.zstd)?)"
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MACHINES = {
    "x86_64": ("amd64", ""),
    "aarch64": ("arm64", "v8"),
    "armv7l": ("arm", "v7"),
    "i686": ("386", ""),
    "ppc64le": ("ppc64le", ""),
    "s390x": ("s390x", ""),
    "riscv64": ("riscv64", ""),
}


class ManifestError(Exception):
    """A manifest or configuration is malformed, or of a kind that is not supported."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A blob: its digest, its size in bytes, its media type."""

    digest: str
    size: int
    media_type: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """An image: configuration and layers, base first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True)
class Config:
    """What an image says of itself: see the OCI image specification."""

    diff_ids: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""
    stop_signal: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


def machine() -> tuple[str, str]:
    """Architecture and variant of this machine, in Go's words."""
    name = platform.machine()
    return _MACHINES.get(name, (name, ""))


def is_index(document: Mapping[str, Any]) -> bool:
    """Whether the document lists manifests by platform."""
    kind = document.get("mediaType", "")
    return kind in (OCI_INDEX, DOCKER_LIST) or (not kind and "manifests" in document)


def choose(document: Mapping[str, Any], architecture: str, variant: str = "") -> Descriptor:
    """The entry of an index for Linux on `architecture`; an exact variant is preferred."""
    fitting: list[tuple[bool, Descriptor]] = []
    for entry in _sequence(document, "manifests"):
        wanted = entry.get("platform") or {}
        if wanted.get("os") == "linux" and wanted.get("architecture") == architecture:
            exact = wanted.get("variant", "") == variant
            fitting.append((exact, descriptor(entry)))
    if not fitting:
        raise ManifestError(f"no match for platform in manifest: linux/{architecture}")
    return max(fitting, key=lambda pair: pair[0])[1]


def manifest(document: Mapping[str, Any]) -> Manifest:
    """Read a manifest."""
    if document.get("schemaVersion") != 2:
        raise ManifestError("only manifests of schema version 2 are supported")
    kind = document.get("mediaType", OCI_MANIFEST)
    if kind not in (OCI_MANIFEST, DOCKER_MANIFEST):
        raise ManifestError(f"manifests of type {kind} are not supported")
    config = document.get("config")
    if not isinstance(config, Mapping):
        raise ManifestError("the manifest has no config")
    layers = tuple(descriptor(entry) for entry in _sequence(document, "layers"))
    for layer in layers:
        if not _LAYER_TYPES.fullmatch(layer.media_type):
            raise ManifestError(f"layers of type {layer.media_type!r} are not supported")
    return Manifest(descriptor(config), layers)


def descriptor(entry: Mapping[str, Any]) -> Descriptor:
    """Read a descriptor."""
    digest, size = entry.get("digest"), entry.get("size")
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise ManifestError(f"digest {digest!r} is not supported (sha256 only)")
    if not isinstance(size, int) or size < 0:
        raise ManifestError("a descriptor has no size")
    return Descriptor(digest, size, str(entry.get("mediaType", "")))


def config(document: Mapping[str, Any]) -> Config:
    """Read an image configuration."""
    inner = document.get("config") or {}
    rootfs = document.get("rootfs") or {}
    diff_ids = tuple(rootfs.get("diff_ids") or ())
    if not all(isinstance(d, str) and _DIGEST.fullmatch(d) for d in diff_ids):
        raise ManifestError("the configuration's diff_ids are malformed")
    system = document.get("os", "linux")
    if system != "linux":
        raise ManifestError(f"images for {system} cannot run here")
    return Config(
        diff_ids,
        _words(inner, "Entrypoint"),
        _words(inner, "Cmd"),
        _words(inner, "Env"),
        str(inner.get("WorkingDir") or ""),
        str(inner.get("User") or ""),
        str(inner.get("StopSignal") or ""),
        {str(k): str(v) for k, v in (inner.get("Labels") or {}).items()},
    )


def _words(inner: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = inner.get(key) or ()
    if isinstance(value, str):
        return (value,)
    return tuple(str(word) for word in value)


def _sequence(document: Mapping[str, Any], key: str) -> Sequence[Mapping[str, Any]]:
    value = document.get(key)
    if not isinstance(value, list) or not all(isinstance(e, dict) for e in value):
        raise ManifestError(f"the manifest has no {key}")
    return value
