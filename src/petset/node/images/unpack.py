"""Layers to directories: a tar stream unpacked so that overlayfs can stack it.

Invariant: nothing is ever written, linked or changed outside the target directory, whatever the
archive says. Rules: OCI image layer specification (whiteouts), kernel overlayfs documentation.
"""

import gzip
import hashlib
import io
import os
import shutil
import stat
import subprocess
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_OPAQUE_XATTR = "trusted.overlay.opaque"
_XATTR_PAX = "SCHILY.xattr."
_KEPT_XATTRS = ("user.", "security.capability")
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_LINKS_MAX = 40
_ENTRIES_MAX = 2_000_000
_PIECE = 1024 * 1024


class UnpackError(Exception):
    """An archive cannot be unpacked; the message says why."""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What came out: digest of the uncompressed archive, bytes of its files, entries left out."""

    diff_id: str
    size: int
    skipped: int = 0


class Readable(Protocol):
    """A stream of bytes."""

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes; b"" at the end."""
        ...


class _Hashed(io.RawIOBase):
    """Passes bytes on and hashes them."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self.hash = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self.hash.update(data)
        return data


@contextmanager
def decompressed(path: Path) -> Iterator[Readable]:
    """The content of a file, compressed or not (gzip; zstd by the program of that name)."""
    with path.open("rb") as raw:
        start = raw.read(4)
        raw.seek(0)
        if start.startswith(_GZIP):
            with gzip.GzipFile(fileobj=raw) as plain:
                yield plain
        elif start == _ZSTD:
            with _zstd(path) as piped:
                yield piped
        else:
            yield raw


@contextmanager
def _zstd(path: Path) -> Iterator[Readable]:
    program = shutil.which("zstd")
    if program is None:
        raise UnpackError("the layer is compressed with zstd: install the program zstd")
    with subprocess.Popen([program, "-dc", "--", path], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield process.stdout
        process.stdout.close()
        if process.wait() != 0:
            raise UnpackError("the layer's zstd data is broken")


def unpack(archive: Path, target: Path) -> Unpacked:
    """Unpack the layer `archive` into the empty directory `target`. Raises UnpackError."""
    try:
        with decompressed(archive) as plain:
            return unpack_stream(plain, target)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UnpackError(f"the layer's compressed data is broken: {error}") from None


def unpack_stream(source: Readable, target: Path) -> Unpacked:
    """Unpack an uncompressed tar stream into `target`."""
    hashed = _Hashed(source)
    unpacker = _Unpacker(target)
    try:
        with tarfile.open(fileobj=hashed, mode="r|", errorlevel=2) as tar:
            for member in tar:
                unpacker.add(tar, member)
        while hashed.read(_PIECE):
            continue
    except tarfile.TarError as error:
        raise UnpackError(f"the layer is no sound tar archive: {error}") from None
    except OSError as error:
        raise UnpackError(f"the layer cannot be unpacked: {error}") from None
    unpacker.finish()
    return Unpacked(f"sha256:{hashed.hash.hexdigest()}", unpacker.size, unpacker.skipped)


def is_whiteout(path: Path) -> bool:
    """Whether `path` is overlayfs' mark for "not there"."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


class _Unpacker:
    """The state of one unpacking. Directories get their times last."""

    def __init__(self, target: Path) -> None:
        self._root = target
        self._owner = os.geteuid() == 0
        self._folders: dict[tuple[str, ...], Path] = {(): target}
        self._later: list[tuple[Path, tarfile.TarInfo]] = []
        self._entries = 0
        self.size = 0
        self.skipped = 0

    def add(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        """Unpack one entry."""
        self._entries += 1
        if self._entries > _ENTRIES_MAX:
            raise UnpackError(f"the layer has more than {_ENTRIES_MAX} entries")
        parts = _parts(member.name)
        if not parts:
            if member.isdir():
                self._later.append((self._root, member))
            return
        folder = self._folder(parts[:-1])
        name = parts[-1]
        if name.startswith(WHITEOUT):
            self._whiteout(folder, name)
        else:
            self._entry(tar, member, folder / name)

    def _entry(self, tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
        if member.isdir():
            self._directory(path, member)
        elif member.isreg():
            self._clear(path)
            self._file(tar, member, path)
        elif member.issym():
            self._clear(path)
            path.symlink_to(member.linkname)
            self._folders = {(): self._root}
            self._chown(path, member)
        elif member.islnk():
            self._hard_link(member, path)
        elif member.isfifo():
            self._clear(path)
            os.mkfifo(path)
            self._dress(path, member)
        else:
            # Device nodes: the runtime makes those that a container may have.
            self.skipped += 1

    def _file(self, tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
        source = tar.extractfile(member)
        assert source is not None
        with path.open("xb") as out:
            shutil.copyfileobj(source, out, _PIECE)
        self.size += member.size
        self._dress(path, member)

    def _directory(self, path: Path, member: tarfile.TarInfo) -> None:
        hides = is_whiteout(path)
        if hides or not _is_directory(path):
            self._clear(path)
            path.mkdir()
            if hides:
                _make_opaque(path)
        self._chown(path, member)
        path.chmod(member.mode & 0o7777)
        self._xattrs(path, member)
        self._later.append((path, member))

    def _hard_link(self, member: tarfile.TarInfo, path: Path) -> None:
        parts = _parts(member.linkname)
        if not parts:
            raise UnpackError(f"{member.name!r} is a hard link to the root")
        source = self._folder(parts[:-1]) / parts[-1]
        if source == path:
            return
        if not _lexists(source):
            raise UnpackError(f"{member.name!r} is a hard link to {member.linkname!r}, not there")
        if _is_directory(source):
            raise UnpackError(f"{member.name!r} is a hard link to a directory")
        self._clear(path)
        os.link(source, path, follow_symlinks=False)

    def _whiteout(self, folder: Path, name: str) -> None:
        if name == _OPAQUE:
            _make_opaque(folder)
            return
        if name.startswith(WHITEOUT * 2):
            return  # aufs' own bookkeeping
        hidden = name[len(WHITEOUT) :]
        if hidden in ("", ".", ".."):
            raise UnpackError(f"{name!r} hides nothing that could be there")
        if not _lexists(folder / hidden):
            os.mknod(folder / hidden, stat.S_IFCHR, os.makedev(0, 0))

    def _folder(self, parts: tuple[str, ...]) -> Path:
        """The directory `parts`, made if need be; links are followed inside the target only."""
        known = self._folders.get(parts)
        if known is None:
            known = self._resolve(parts)
            self._folders[parts] = known
        return known

    def _resolve(self, parts: tuple[str, ...]) -> Path:
        todo = list(reversed(parts))
        path = self._root
        links = 0
        while todo:
            part = todo.pop()
            if part in ("", "."):
                continue
            if part == "..":
                path = path if path == self._root else path.parent
                continue
            step = path / part
            if step.is_symlink():
                links += 1
                if links > _LINKS_MAX:
                    raise UnpackError(f"too many symbolic links in {'/'.join(parts)!r}")
                text = str(step.readlink())
                path = self._root if text.startswith("/") else path
                todo.extend(reversed(text.split("/")))
                continue
            self._make_folder(step)
            path = step
        return path

    def _make_folder(self, step: Path) -> None:
        if _is_directory(step):
            return
        hides = is_whiteout(step)
        if hides or _lexists(step):
            self._clear(step)
        step.mkdir(mode=0o755)
        if hides:
            _make_opaque(step)

    def _clear(self, path: Path) -> None:
        """Remove what is at `path`: a later entry replaces an earlier one."""
        if _is_directory(path):
            shutil.rmtree(path)
            self._later = [(p, m) for p, m in self._later if path not in (p, *p.parents)]
            self._folders = {(): self._root}
        elif _lexists(path):
            path.unlink()
            self._folders = {(): self._root}

    def _dress(self, path: Path, member: tarfile.TarInfo) -> None:
        """Owner first: changing it takes the setuid bit and capabilities away."""
        self._chown(path, member)
        path.chmod(member.mode & 0o7777)
        self._xattrs(path, member)
        os.utime(path, (member.mtime, member.mtime))

    def _chown(self, path: Path, member: tarfile.TarInfo) -> None:
        if self._owner:
            os.lchown(path, member.uid, member.gid)

    def _xattrs(self, path: Path, member: tarfile.TarInfo) -> None:
        for key, value in member.pax_headers.items():
            name = key.removeprefix(_XATTR_PAX)
            if name == key or not name.startswith(_KEPT_XATTRS):
                continue
            if name.startswith("user.") or self._owner:
                os.setxattr(path, name, value.encode("utf-8", "surrogateescape"))

    def finish(self) -> None:
        """What has to come last."""
        for path, member in reversed(self._later):
            if path == self._root:
                path.chmod(member.mode & 0o7777)
                self._chown(path, member)
            os.utime(path, (member.mtime, member.mtime))


def _lexists(path: Path) -> bool:
    return os.path.lexists(path)


def _is_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _make_opaque(folder: Path) -> None:
    os.setxattr(folder, _OPAQUE_XATTR, b"y")


def _parts(name: str) -> tuple[str, ...]:
    """The components of an entry's name. Raises UnpackError for one that leads outside."""
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts or "\x00" in name:
        raise UnpackError(f"the layer holds a path that leads outside: {name!r}")
    return parts
