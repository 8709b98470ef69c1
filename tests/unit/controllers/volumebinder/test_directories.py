"""Directories of volumes: made and removed below the root, and nowhere else."""

from pathlib import Path

import pytest

from petset.controllers.volumebinder.directories import Directories


async def test_a_directory_is_made_open_to_all_users_and_making_it_again_keeps_its_data(
    tmp_path: Path,
) -> None:
    root = tmp_path / "volumes"
    made = Directories(str(root))
    path = root / "pvc-1"
    await made.create(str(path))
    assert path.stat().st_mode & 0o777 == 0o777
    (path / "file").write_text("data")
    await made.create(str(path))
    assert (path / "file").read_text() == "data"


async def test_removing_takes_everything_in_it_and_nothing_behind_links(tmp_path: Path) -> None:
    root, other = tmp_path / "volumes", tmp_path / "other"
    other.mkdir()
    (other / "precious").write_text("x")
    made = Directories(str(root))
    path = root / "pvc-1"
    await made.create(str(path))
    (path / "deep").mkdir()
    (path / "deep" / "file").write_text("data")
    (path / "link").symlink_to(other)
    await made.delete(str(path))
    assert list(root.iterdir()) == []
    assert (other / "precious").read_text() == "x"
    await made.delete(str(path))


async def test_a_link_in_place_of_the_directory_is_removed_and_never_followed(
    tmp_path: Path,
) -> None:
    root, other = tmp_path / "volumes", tmp_path / "other"
    root.mkdir()
    other.mkdir()
    (other / "precious").write_text("x")
    (root / "pvc-1").symlink_to(other)
    made = Directories(str(root))
    with pytest.raises(NotADirectoryError):
        await made.create(str(root / "pvc-1"))
    await made.delete(str(root / "pvc-1"))
    assert list(root.iterdir()) == []
    assert (other / "precious").read_text() == "x"


async def test_a_removal_that_was_cut_off_is_finished_later(tmp_path: Path) -> None:
    root = tmp_path / "volumes"
    half = root / ".deleting-pvc-1"
    half.mkdir(parents=True)
    (half / "file").write_text("data")
    await Directories(str(root)).delete(str(root / "pvc-1"))
    assert list(root.iterdir()) == []


@pytest.mark.parametrize(
    "path",
    ["", "/", "/etc", "{root}", "{root}/", "{root}/..", "{root}/a/b", "{root}/../x", "pvc-1"],
)
async def test_paths_elsewhere_are_refused(tmp_path: Path, path: str) -> None:
    root = tmp_path / "volumes"
    root.mkdir()
    made = Directories(str(root))
    wanted = path.format(root=root)
    with pytest.raises(PermissionError):
        await made.delete(wanted)
    with pytest.raises(PermissionError):
        await made.create(wanted)
    assert root.exists()


async def test_without_a_root_nothing_is_touched() -> None:
    with pytest.raises(PermissionError):
        await Directories("").delete("/pvc-1")
