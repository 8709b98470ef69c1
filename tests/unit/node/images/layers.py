"""Layers and images made in memory for tests."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass

import orjson


@dataclass
class Entry:
    name: str
    data: bytes = b""
    kind: bytes = tarfile.REGTYPE
    target: str = ""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    pax: tuple[tuple[str, str], ...] = ()


def folder(name: str, mode: int = 0o755) -> Entry:
    return Entry(name, kind=tarfile.DIRTYPE, mode=mode)


def link(name: str, target: str) -> Entry:
    return Entry(name, kind=tarfile.SYMTYPE, target=target)


def hard(name: str, target: str) -> Entry:
    return Entry(name, kind=tarfile.LNKTYPE, target=target)


def tar(entries: Iterable[Entry]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry in entries:
            info = tarfile.TarInfo(entry.name)
            info.type, info.linkname, info.mode = entry.kind, entry.target, entry.mode
            info.uid, info.gid, info.mtime = entry.uid, entry.gid, 1_000_000_000
            info.size = len(entry.data)
            info.pax_headers = dict(entry.pax)
            archive.addfile(info, io.BytesIO(entry.data))
    return out.getvalue()


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass
class Built:
    """An image as blobs."""

    manifest: bytes
    config: bytes
    blobs: dict[str, bytes]
    diff_ids: list[str]

    @property
    def digest(self) -> str:
        return digest(self.manifest)


def image(layers: Iterable[Iterable[Entry]], *, docker: bool = False, **config: object) -> Built:
    tars = [tar(entries) for entries in layers]
    packed = [gzip.compress(data, mtime=0) for data in tars]
    raw = orjson.dumps(
        {
            "os": "linux",
            "architecture": "amd64",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [digest(data) for data in tars]},
        }
    )
    kind = "application/vnd.oci.image.layer.v1.tar+gzip"
    top = "application/vnd.oci.image.manifest.v1+json"
    if docker:
        kind = "application/vnd.docker.image.rootfs.diff.tar.gzip"
        top = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = orjson.dumps(
        {
            "schemaVersion": 2,
            "mediaType": top,
            "config": {"mediaType": "x", "digest": digest(raw), "size": len(raw)},
            "layers": [
                {"mediaType": kind, "digest": digest(blob), "size": len(blob)} for blob in packed
            ],
        }
    )
    blobs = {digest(raw): raw} | {digest(blob): blob for blob in packed}
    return Built(manifest, raw, blobs, [digest(data) for data in tars])
