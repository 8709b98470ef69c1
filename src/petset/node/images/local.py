"""The images of this machine on disk, shared by every cluster and agent on it.

Layout under the root: `index.json`, `l/<12 hex>` (unpacked layers; short, because overlayfs'
mount options are limited to a page), `tmp/` (work in progress), `lock`.
Invariant: the index names only layers that are whole. Several processes may work at once: the
index changes under a lock and by rename; a layer appears by rename.
"""

import fcntl
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import orjson

from petset.node.images import reference
from petset.node.images.manifest import Config
from petset.node.images.types import Image

T = TypeVar("T")

_SHORT = 12
_ID_PREFIX = re.compile(r"(?:sha256:)?[0-9a-f]{6,64}")


class StoreError(Exception):
    """The store refuses a change; the message says why."""


class InUseError(StoreError):
    """An image cannot be removed: containers use it."""


@dataclass(frozen=True, slots=True)
class Record:
    """An image as the index keeps it.

    Attributes:
        id: `sha256:` digest of its configuration.
        layers: diff ids, base first.
        tags: normalised references that lead to it.
        digests: `repo@sha256:...` it came as.
        recipe: name of the recipe it was built from, "" if it was pulled or loaded.
        note: for people: package versions of a recipe.
        created: when it came here, seconds since the Unix epoch.
    """

    id: str
    layers: tuple[str, ...]
    config: Config
    size: int = 0
    tags: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    recipe: str = ""
    note: str = ""
    created: float = 0.0


@dataclass(slots=True)
class _Index:
    images: dict[str, Record] = field(default_factory=dict)


class Store:
    """The images under `root`, which is made on first use."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._cached: tuple[tuple[int, int, int], _Index] | None = None

    # Reading.

    def find(self, text: str) -> Record | None:
        """The image that `text` names: a reference, `repo@digest`, or a whole id."""
        index = self._read()
        if text in index.images:
            return index.images[text]
        try:
            return _by_reference(index, reference.parse(text))
        except reference.InvalidReferenceError:
            return None

    def image(self, record: Record, ref: str) -> Image:
        """What the agent needs of `record`."""
        config = record.config
        return Image(
            record.id,
            ref,
            tuple(str(self.layer_path(layer)) for layer in record.layers),
            digest=record.digests[0] if record.digests else "",
            size=record.size,
            entrypoint=config.entrypoint,
            cmd=config.cmd,
            env=config.env,
            working_dir=config.working_dir,
            user=config.user,
            stop_signal=config.stop_signal,
            labels=config.labels,
        )

    def records(self) -> list[Record]:
        """Every image, newest first."""
        return sorted(self._read().images.values(), key=lambda r: (-r.created, r.id))

    def layer_path(self, diff_id: str) -> Path:
        """Where a layer is, or would be."""
        return self.root / "l" / diff_id.removeprefix("sha256:")[:_SHORT]

    def has_layer(self, diff_id: str) -> bool:
        """Whether a layer is here, whole."""
        return self.layer_path(diff_id).is_dir()

    # Changing.

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A work directory that is gone afterwards; those of dead processes are swept first."""
        base = self.root / "tmp"
        base.mkdir(parents=True, exist_ok=True)
        self.sweep()
        folder = base / secrets.token_hex(6)
        with self.locked():
            folder.mkdir(mode=0o700)
            guard = os.open(folder / ".alive", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(guard, fcntl.LOCK_EX)
        try:
            yield folder
        finally:
            _remove_tree(folder)
            os.close(guard)

    def adopt_layer(self, folder: Path, diff_id: str) -> None:
        """Move an unpacked layer to its place; one that is there already wins."""
        place = self.layer_path(diff_id)
        place.parent.mkdir(parents=True, exist_ok=True)
        # The index must never name files whose content a power cut can still take away.
        subprocess.run(["sync", "--file-system", folder], check=False)
        try:
            folder.rename(place)
        except OSError as error:
            if not place.is_dir():
                raise StoreError(f"a layer cannot be stored: {error}") from error

    def put(self, record: Record) -> Record:
        """Enter an image; its tags move here from other images. Raises StoreError.

        What was built from a recipe also takes the tags of that recipe's earlier builds, for no
        tag asks for a version that a recipe could choose.
        """

        def change(index: _Index) -> Record:
            missing = [layer for layer in record.layers if not self.has_layer(layer)]
            if missing:
                raise StoreError(f"layer {missing[0]} went away meanwhile")
            old = index.images.get(record.id)
            merged = _merge(old, record) if old is not None else record
            merged = _replace(merged, tags=_with_earlier_builds(index, merged))
            _take_tags(index, merged)
            index.images[record.id] = merged
            return merged

        return self._change(change)

    def take_over(self, image_id: str) -> Record:
        """Let the tags of every build of an image's recipe lead to it. Raises StoreError."""
        record = self.find(image_id)
        if record is None:
            raise StoreError(f"image {image_id} went away meanwhile")
        return self.put(record)

    def tag(self, image_id: str, tag: str) -> Record:
        """Let the normalised reference `tag` lead to an image. Raises StoreError."""

        def change(index: _Index) -> Record:
            record = index.images.get(image_id)
            if record is None:
                raise StoreError(f"image {image_id} went away meanwhile")
            tagged = _replace(record, tags=tuple(dict.fromkeys((*record.tags, tag))))
            _take_tags(index, tagged)
            index.images[image_id] = tagged
            return tagged

        return self._change(change)

    def remove(self, text: str, in_use: Collection[str] = ()) -> list[str]:
        """Take a tag, or a whole image, away; returns what went, one line each.

        `text` is what `find` takes, or the beginning of an id.
        `in_use` holds ids of images and paths of layers that containers use. Raises
        StoreError when there is no such image, or it is in use.
        """
        dropped: list[Path] = []

        def change(index: _Index) -> list[str]:
            lines, layers = self._forget(index, text, in_use)
            for layer in layers:
                place = self.layer_path(layer)
                if place.is_dir():
                    grave = self.root / "tmp" / f"gone-{secrets.token_hex(6)}"
                    grave.parent.mkdir(parents=True, exist_ok=True)
                    place.rename(grave)
                    dropped.append(grave)
            return lines

        lines = self._change(change)
        for grave in dropped:
            _remove_tree(grave)
        return lines

    def _forget(
        self, index: _Index, text: str, in_use: Collection[str]
    ) -> tuple[list[str], list[str]]:
        record = self.find(text) or _by_id(index, text)
        if record is None:
            raise StoreError(f"no such image: {text}")
        tag = _own_tag(record, text)
        if tag is not None and len(record.tags) > 1:
            tags = tuple(t for t in record.tags if t != tag)
            index.images[record.id] = _replace(record, tags=tags)
            return [f"Untagged: {tag}"], []
        paths = {str(self.layer_path(layer)) for layer in record.layers}
        if record.id in in_use or paths & set(in_use):
            raise InUseError(f"image {text} is in use by a container")
        del index.images[record.id]
        kept = {layer for other in index.images.values() for layer in other.layers}
        lines = [*(f"Untagged: {t}" for t in record.tags), f"Deleted: {record.id}"]
        return lines, [layer for layer in record.layers if layer not in kept]

    # Files.

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock that every change of the index needs."""
        self.root.mkdir(parents=True, exist_ok=True)
        fd = os.open(self.root / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _change(self, change: Callable[[_Index], T]) -> T:
        with self.locked():
            self._cached = None
            index = _Index(dict(self._read().images))
            result = change(index)
            self._write(index)
            return result

    def _read(self) -> _Index:
        path = self.root / "index.json"
        try:
            status = path.stat()
            stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
            cached = self._cached  # the collector's thread may take it away meanwhile
            if cached is not None and cached[0] == stamp:
                return cached[1]
            document = orjson.loads(path.read_bytes())
        except FileNotFoundError:
            return _Index()
        index = _Index({k: _record(v) for k, v in document.get("images", {}).items()})
        self._cached = (stamp, index)
        return index

    def _write(self, index: _Index) -> None:
        path = self.root / "index.json"
        fresh = path.with_name(f"index.json.{os.getpid()}")
        data = orjson.dumps({"version": 1, "images": index.images}, option=orjson.OPT_INDENT_2)
        with fresh.open("wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(path)
        folder = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def sweep(self) -> None:
        """Remove work directories whose process is dead: the kernel has freed their lock."""
        base = self.root / "tmp"
        if not base.is_dir():
            return
        with self.locked():
            for folder in base.iterdir():
                if not _alive(folder):
                    _remove_tree(folder)


def _alive(folder: Path) -> bool:
    try:
        fd = os.open(folder / ".alive", os.O_RDWR | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _remove_tree(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _by_reference(index: _Index, ref: reference.Reference) -> Record | None:
    if ref.digest:
        wanted = f"{ref.name}@{ref.digest}"
        found = (r for r in index.images.values() if wanted in r.digests)
    else:
        wanted = str(ref)
        found = (r for r in index.images.values() if wanted in r.tags)
    return next(found, None)


def _by_id(index: _Index, text: str) -> Record | None:
    if not _ID_PREFIX.fullmatch(text):
        return None
    start = text.removeprefix("sha256:")
    found = [r for r in index.images.values() if r.id.removeprefix("sha256:").startswith(start)]
    return found[0] if len(found) == 1 else None


def _own_tag(record: Record, text: str) -> str | None:
    try:
        tag = str(reference.parse(text))
    except reference.InvalidReferenceError:
        return None
    return tag if tag in record.tags else None


def _with_earlier_builds(index: _Index, record: Record) -> tuple[str, ...]:
    earlier = [r for r in index.images.values() if record.recipe and r.recipe == record.recipe]
    return tuple(dict.fromkeys((*record.tags, *(tag for r in earlier for tag in r.tags))))


def _take_tags(index: _Index, record: Record) -> None:
    for other in list(index.images.values()):
        if other.id != record.id and set(other.tags) & set(record.tags):
            tags = tuple(t for t in other.tags if t not in record.tags)
            index.images[other.id] = _replace(other, tags=tags)


def _merge(old: Record, new: Record) -> Record:
    tags = tuple(dict.fromkeys((*old.tags, *new.tags)))
    digests = tuple(dict.fromkeys((*new.digests, *old.digests)))
    return _replace(new, tags=tags, digests=digests)


def _replace(record: Record, **changes: Any) -> Record:
    values = {name: getattr(record, name) for name in Record.__slots__}
    return Record(**(values | changes))


def _record(document: Mapping[str, Any]) -> Record:
    values = dict(document)
    inner = values.pop("config")
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in inner.items()}
    config = Config(**fields)
    tuples = {k: tuple(v) for k, v in values.items() if isinstance(v, list)}
    return Record(config=config, **(values | tuples))
