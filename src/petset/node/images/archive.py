"""Images from a tar file: `docker save` archives and OCI layouts.

Invariant: the members are streamed, never unpacked by their own names.
"""

import hashlib
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from petset.base.clock import Clock
from petset.node.images import manifest, reference, unpack
from petset.node.images.local import Record, Store

_NAME_KEYS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
_DOCUMENT_MAX = 8 * 1024 * 1024


class ArchiveError(Exception):
    """A file is no image archive, or a broken one."""


def load(store: Store, file: Path, clock: Clock) -> list[Record]:
    """Take every image of the archive `file` into the store.

    Raises ArchiveError, ManifestError, UnpackError, StoreError, OSError.
    """
    try:
        with unpack.decompressed(file) as plain, store.scratch() as scratch:
            whole = scratch / "archive.tar"
            with whole.open("wb") as out:
                shutil.copyfileobj(plain, out)
            with tarfile.open(whole, "r:") as tar:
                return _Archive(store, tar, scratch, clock).load()
    except tarfile.TarError as error:
        raise ArchiveError(f"{file} is no tar archive: {error}") from None


class _Archive:
    def __init__(self, store: Store, tar: tarfile.TarFile, scratch: Path, clock: Clock) -> None:
        self._store = store
        self._tar = tar
        self._scratch = scratch
        self._clock = clock
        self._members = {m.name.removeprefix("./"): m for m in tar if m.isfile()}

    def load(self) -> list[Record]:
        if "manifest.json" in self._members:
            return self._docker()
        if "index.json" in self._members:
            return self._oci()
        raise ArchiveError("neither manifest.json nor index.json is in the archive")

    def _docker(self) -> list[Record]:
        entries = self._json("manifest.json")
        if not isinstance(entries, list):
            raise ArchiveError("manifest.json is malformed")
        records = []
        for entry in entries:
            raw = self._bytes(str(entry.get("Config")))
            names = tuple(entry.get("RepoTags") or ())
            records.append(self._take(raw, tuple(entry.get("Layers") or ()), names))
        return records

    def _oci(self) -> list[Record]:
        index = _mapping(self._json("index.json"))
        records = []
        for entry in index.get("manifests") or ():
            names = tuple(
                value for key in _NAME_KEYS if (value := (entry.get("annotations") or {}).get(key))
            )
            document = self._blob(manifest.descriptor(entry))
            if manifest.is_index(document):
                document = self._blob(manifest.choose(document, *manifest.machine()))
            found = manifest.manifest(document)
            raw = self._bytes(_blob_path(found.config))
            layers = tuple(_blob_path(layer) for layer in found.layers)
            records.append(self._take(raw, layers, names[:1]))
        return records

    def _take(self, raw: bytes, layers: tuple[str, ...], names: tuple[str, ...]) -> Record:
        config = manifest.config(_mapping(orjson.loads(raw)))
        if len(config.diff_ids) != len(layers):
            raise ArchiveError("the configuration does not name each layer of the image")
        size = 0
        for diff_id, name in zip(config.diff_ids, layers, strict=True):
            size += self._member(name).size
            if not self._store.has_layer(diff_id):
                self._layer(diff_id, name)
        return self._store.put(
            Record(
                f"sha256:{hashlib.sha256(raw).hexdigest()}",
                config.diff_ids,
                config,
                size=size,
                tags=tuple(tag for name in names if (tag := _tag(name))),
                created=self._clock.now(),
            )
        )

    def _layer(self, diff_id: str, name: str) -> None:
        short = diff_id.removeprefix("sha256:")
        blob, folder = self._scratch / f"{short}.blob", self._scratch / short
        source = self._tar.extractfile(self._member(name))
        assert source is not None
        with blob.open("wb") as out:
            shutil.copyfileobj(source, out)
        folder.mkdir()
        done = unpack.unpack(blob, folder)
        if done.diff_id != diff_id:
            raise ArchiveError(f"layer {name} does not unpack to {diff_id}")
        blob.unlink()
        self._store.adopt_layer(folder, diff_id)

    def _member(self, name: str) -> tarfile.TarInfo:
        member = self._members.get(name.removeprefix("./"))
        if member is None:
            raise ArchiveError(f"{name} is not in the archive")
        return member

    def _bytes(self, name: str) -> bytes:
        member = self._member(name)
        if member.size > _DOCUMENT_MAX:
            raise ArchiveError(f"{name} is larger than {_DOCUMENT_MAX} bytes")
        source = self._tar.extractfile(member)
        assert source is not None
        return source.read()

    def _json(self, name: str) -> Any:
        try:
            return orjson.loads(self._bytes(name))
        except orjson.JSONDecodeError:
            raise ArchiveError(f"{name} is no JSON") from None

    def _blob(self, descriptor: manifest.Descriptor) -> Mapping[str, Any]:
        return _mapping(self._json(_blob_path(descriptor)))


def _blob_path(descriptor: manifest.Descriptor) -> str:
    return f"blobs/{descriptor.digest.replace(':', '/')}"


def _mapping(document: Any) -> Mapping[str, Any]:
    if not isinstance(document, dict):
        raise ArchiveError("a document of the archive is malformed")
    return document


def _tag(name: str) -> str:
    """The normalised reference for a name in an archive; "" for one that is none."""
    try:
        return str(reference.parse(name))
    except reference.InvalidReferenceError:
        return ""
