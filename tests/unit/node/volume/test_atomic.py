"""Directories of files that change as one."""

import os
from pathlib import Path

import pytest

from petset.node.volume import atomic
from petset.node.volume.files import File

ONE = {"a": File(b"1", 0o644), "d/b": File(b"2", 0o400)}


@pytest.mark.parametrize("group", [None, os.getgid()])
def test_what_is_there_already_is_left_as_it_is(tmp_path: Path, group: int | None) -> None:
    target = tmp_path / "v"
    assert atomic.write(target, ONE, group=group, token="t1")
    assert not atomic.write(target, ONE, group=group, token="t2")
    assert (target / "..data").readlink() == Path("..t1")


@pytest.mark.parametrize(
    "other",
    [
        {"a": File(b"1", 0o644)},
        {"a": File(b"1", 0o644), "d/b": File(b"3", 0o400)},
        {"a": File(b"1", 0o644), "d/b": File(b"2", 0o444)},
        {"a": File(b"1", 0o644), "c": File(b"2", 0o400)},
    ],
)
def test_a_change_takes_the_place_of_what_was_there(tmp_path: Path, other: dict[str, File]) -> None:
    atomic.write(tmp_path, ONE, group=None, token="t1")
    assert atomic.write(tmp_path, other, group=None, token="t2")
    seen = {name: (tmp_path / name).read_bytes() for name in other}
    assert seen == {name: file.data for name, file in other.items()}
    shown = sorted(p.name for p in tmp_path.iterdir() if not p.name.startswith(".."))
    assert shown == sorted({name.partition("/")[0] for name in other})
    assert not (tmp_path / "..t1").exists()


def test_the_group_may_read(tmp_path: Path) -> None:
    atomic.write(tmp_path, ONE, group=os.getgid(), token="t1")
    assert (tmp_path / "d/b").stat().st_mode & 0o777 == 0o440
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644
