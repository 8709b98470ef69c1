import contextlib
import gzip
import io
import os
import random
import shutil
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from petset.node.images import unpack
from petset.node.images.unpack import UnpackError
from tests.unit.node.images.layers import Entry, digest, folder, hard, link, tar

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="owners and devices need root")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A directory to unpack into, with something beside it that must not change."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("untouched")
    made = tmp_path / "target"
    made.mkdir()
    return made


def run(target: Path, *entries: Entry) -> unpack.Unpacked:
    return unpack.unpack_stream(io.BytesIO(tar(entries)), target)


def untouched(target: Path) -> bool:
    outside = target.parent / "outside"
    names = [path.name for path in target.parent.rglob("*") if target not in path.parents]
    same = (outside / "file").read_text() == "untouched"
    return same and sorted(names) == ["file", "outside", "target"]


def test_unpacks_files_folders_and_links(target: Path) -> None:
    done = run(
        target,
        folder("./etc", 0o750),
        Entry("./etc/a", b"hello", mode=0o600),
        Entry("deep/er/b", b"x"),
        link("etc/l", "../deep/er/b"),
        hard("etc/h", "./etc/a"),
        Entry("fifo", kind=tarfile.FIFOTYPE),
        folder("./"),
    )
    assert (target / "etc/a").read_bytes() == b"hello"
    assert stat.S_IMODE((target / "etc").stat().st_mode) == 0o750
    assert stat.S_IMODE((target / "etc/a").stat().st_mode) == 0o600
    assert (target / "etc/a").stat().st_mtime == 1_000_000_000
    assert (target / "etc").stat().st_mtime == 1_000_000_000
    assert (target / "etc/l").read_bytes() == b"x"
    assert (target / "etc/h").samefile(target / "etc/a")
    assert stat.S_ISFIFO((target / "fifo").lstat().st_mode)
    assert (done.size, done.skipped) == (6, 0)


@ROOT
def test_keeps_owners_setuid_and_sticky_modes(target: Path) -> None:
    run(
        target,
        Entry("su", b"x", mode=0o4755, uid=12, gid=34),
        folder("tmp", 0o1777),
        Entry("l", kind=tarfile.SYMTYPE, target="su", uid=5, gid=6),
    )
    status = (target / "su").stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (12, 34, 0o4755)
    assert stat.S_IMODE((target / "tmp").stat().st_mode) == 0o1777
    assert ((target / "l").lstat().st_uid, (target / "l").lstat().st_gid) == (5, 6)


@ROOT
def test_keeps_capabilities(target: Path) -> None:
    capability = b"\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
    pax = (
        ("SCHILY.xattr.security.capability", capability.decode("utf-8", "surrogateescape")),
        ("SCHILY.xattr.trusted.overlay.opaque", "y"),
    )
    run(target, Entry("ping", b"x", mode=0o755, pax=pax))
    assert os.getxattr(target / "ping", "security.capability") == capability
    assert "trusted.overlay.opaque" not in os.listxattr(target / "ping")


@ROOT
def test_whiteouts_become_what_overlayfs_knows(target: Path) -> None:
    run(
        target,
        Entry("etc/.wh.gone"),
        folder("etc/cut"),
        Entry("etc/cut/.wh..wh..opq"),
        Entry("etc/cut/new", b"n"),
        Entry("etc/.wh..wh.plnk"),
        Entry(".wh.back"),
        Entry("back/file", b"f"),
        Entry(".wh.again"),
        folder("again"),
        Entry("kept", b"k"),
        Entry(".wh.kept"),
    )
    assert unpack.is_whiteout(target / "etc/gone")
    assert os.getxattr(target / "etc/cut", "trusted.overlay.opaque") == b"y"
    assert sorted(path.name for path in (target / "etc").iterdir()) == ["cut", "gone"]
    for replaced in ("back", "again"):
        assert os.getxattr(target / replaced, "trusted.overlay.opaque") == b"y"
    assert (target / "kept").read_bytes() == b"k"


@pytest.mark.parametrize("name", [".wh.", ".wh...", "a/.wh.."])
def test_whiteouts_of_nothing_are_refused(target: Path, name: str) -> None:
    with pytest.raises(UnpackError):
        run(target, Entry(name))


@pytest.mark.parametrize(
    "entries",
    [
        [Entry("../outside/file", b"bad")],
        [Entry("a/../../outside/file", b"bad")],
        [Entry("a", b"x"), hard("b", "../outside/file")],
        [hard("b", "/../outside/file")],
        [hard("b", "missing")],
        [folder("d"), hard("b", "d")],
        [hard("b", "/")],
        [Entry("../.wh.outside")],
    ],
)
def test_paths_that_lead_outside_are_refused(target: Path, entries: list[Entry]) -> None:
    with pytest.raises(UnpackError):
        run(target, *entries)
    assert untouched(target)


@pytest.mark.parametrize(
    "entries",
    [
        [Entry("/outside/file", b"in")],
        [link("up", ".."), Entry("up/outside/file", b"in")],
        [link("up", "../.."), folder("up/outside"), Entry("up/outside/file", b"in")],
        [link("abs", "/outside"), Entry("abs/file", b"in")],
        [link("a", "b"), link("b", "../outside"), Entry("a/file", b"in")],
        [link("file", "../outside/file"), Entry("file", b"in")],
        [link("d", "../outside"), folder("d", 0o700)],
        [link("d", "../outside"), Entry("d/.wh.file")],
    ],
)
def test_links_are_followed_inside_only(target: Path, entries: list[Entry]) -> None:
    try:
        run(target, *entries)
    except UnpackError as error:
        assert "Operation not permitted" in str(error)  # noqa: PT017 (whiteouts without root)
    assert untouched(target)


def test_a_hard_link_does_not_follow_its_source(target: Path) -> None:
    run(target, link("l", str(target.parent / "outside/file")), hard("h", "l"))
    assert (target / "h").is_symlink()
    assert untouched(target)


def test_circles_of_links_are_refused(target: Path) -> None:
    with pytest.raises(UnpackError, match="too many symbolic links"):
        run(target, link("a", "b"), link("b", "a"), Entry("a/x"))


def test_later_entries_replace_earlier_ones(target: Path) -> None:
    run(
        target,
        folder("a"),
        Entry("a/x", b"1"),
        Entry("a", b"now a file"),
        Entry("b", b"1"),
        folder("b"),
        Entry("b/y", b"2"),
        link("c", "b"),
        Entry("c/z", b"3"),
        hard("b/y", "b/y"),
    )
    assert (target / "a").read_bytes() == b"now a file"
    assert (target / "b/y").read_bytes() == b"2"
    assert (target / "b/z").read_bytes() == b"3"


def test_device_nodes_are_left_to_the_runtime(target: Path) -> None:
    done = run(
        target,
        Entry("dev/sda", kind=tarfile.BLKTYPE),
        Entry("dev/null", kind=tarfile.CHRTYPE),
    )
    assert done.skipped == 2
    assert list((target / "dev").iterdir()) == []


@pytest.mark.parametrize("packing", ["plain", "gzip", "members", "zstd"])
def test_knows_compressions_by_their_content(target: Path, packing: str) -> None:
    plain = tar([Entry("a", os.urandom(100_000))])
    archive = target.parent / "layer"
    match packing:
        case "gzip":
            archive.write_bytes(gzip.compress(plain))
        case "members":
            archive.write_bytes(gzip.compress(plain[:5000]) + gzip.compress(plain[5000:]))
        case "zstd":
            if shutil.which("zstd") is None:
                pytest.skip("zstd is not installed")
            packed = subprocess.run(["zstd", "-c"], input=plain, capture_output=True, check=True)
            archive.write_bytes(packed.stdout)
        case _:
            archive.write_bytes(plain)
    assert unpack.unpack(archive, target).diff_id == digest(plain)
    archive.unlink()


def test_broken_archives_are_refused(target: Path) -> None:
    plain = tar([Entry("a", os.urandom(100_000))])
    packed = gzip.compress(plain)
    for broken in (b"nonsense" * 200, packed[:5000], b"\x1f\x8bxx", plain[:3000]):
        archive = target.parent / "layer"
        archive.write_bytes(broken)
        with pytest.raises(UnpackError):
            unpack.unpack(archive, target)


@pytest.mark.parametrize("seed", range(5))
def test_noise_stays_inside(target: Path, seed: int) -> None:
    rng = random.Random(seed)
    words = ["a", "b", "..", ".", "", "up", ".wh.a", "outside", "file", "/", ".wh..wh..opq"]
    kinds = [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE]
    for _ in range(60):
        entries = []
        for _ in range(rng.randrange(1, 12)):
            name = "/".join(rng.choices(words, k=rng.randrange(1, 4)))
            other = "/".join(rng.choices(words, k=rng.randrange(1, 4)))
            entries.append(Entry(name or "a", kind=rng.choice(kinds), target=other or "a"))
        with contextlib.suppress(UnpackError):
            run(target, *entries)
        assert untouched(target)
        shutil.rmtree(target)
        target.mkdir()
