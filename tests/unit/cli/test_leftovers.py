import errno
from pathlib import Path

import pytest

from petset.cli import leftovers, paths
from petset.cli.failure import Failure


@pytest.fixture
def where(tmp_path: Path) -> paths.Paths:
    return paths.Paths(state=tmp_path / "state", run=tmp_path / "run")


def test_only_what_is_petsets_is_deleted(where: paths.Paths) -> None:
    for name in ("server", "volumes/pvc-1", "mine"):
        (where.state / name).mkdir(parents=True)
    (where.state / "cluster.json").write_text("{}")
    (where.state / "diary").write_text("dear")
    assert sorted(leftovers.remove_state(where)) == ["diary", "mine"]
    assert sorted(p.name for p in where.state.iterdir()) == ["diary", "mine"]


def test_directory_of_its_own_goes_whole(where: paths.Paths) -> None:
    (where.state / "server").mkdir(parents=True)
    (where.state / ".cluster.json.petset-17").write_text("")
    (where.state / "logs").symlink_to(where.state.parent)
    assert leftovers.remove_state(where) == []
    assert not where.state.exists()
    assert where.state.parent.exists()


def test_undo_brings_the_description_back(where: paths.Paths) -> None:
    where.state.mkdir()
    where.cluster_file.write_text("before")
    undo = leftovers.Undo(where, "x")
    undo._idle = False  # nothing of this machine is to be stopped
    where.cluster_file.write_text("after")
    undo.run()
    assert where.cluster_file.read_text() == "before"


def test_full_disk_is_explained(where: paths.Paths) -> None:
    error = OSError(errno.ENOSPC, "No space left on device", str(where.state / "x"))
    explained = leftovers.explain(error, where)
    assert explained is not None
    assert "is full" in str(explained)
    assert str(where.state) in str(explained)


def test_other_failures_keep_their_own_words(where: paths.Paths) -> None:
    assert leftovers.explain(Failure("port taken", "free it"), where) is None
    assert leftovers.explain(KeyboardInterrupt(), where) is None
    error = OSError(errno.EROFS, "Read-only file system", str(where.state))
    assert "--data-dir" in str(leftovers.explain(error, where))
