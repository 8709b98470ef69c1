"""At most one node uses a ReadWriteOnce volume."""

from pathlib import Path
from threading import Thread

import pytest

from petset.node.volume import fence
from petset.node.volume.base import VolumeFailedError
from petset.node.volume.fence import Claimant

A = Claimant("/nodes/a", "/nodes/a/pods/u1", "default/web-0")
A2 = Claimant("/nodes/a", "/nodes/a/pods/u2", "default/other")
B = Claimant("/nodes/b", "/nodes/b/pods/u3", "default/web-0")


def alive(path: Path) -> bool:
    del path
    return True


def dead(path: Path) -> bool:
    del path
    return False


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    made = tmp_path / "pv"
    made.mkdir()
    return made


def test_another_node_waits_while_processes_live(volume: Path) -> None:
    fence.acquire(volume, A, alive)
    with pytest.raises(VolumeFailedError, match="still in use by pod default/web-0"):
        fence.acquire(volume, B, alive)
    assert fence.holds(volume, A)
    assert not fence.holds(volume, B)


def test_the_dead_are_pushed_aside(volume: Path) -> None:
    fence.acquire(volume, A, alive)
    fence.acquire(volume, B, dead)
    assert fence.holds(volume, B)
    assert not fence.holds(volume, A)


def test_pods_of_one_node_share_but_not_where_one_pod_is_the_rule(volume: Path) -> None:
    fence.acquire(volume, A, alive)
    fence.acquire(volume, A2, alive)
    assert fence.holds(volume, A)
    with pytest.raises(VolumeFailedError):
        fence.acquire(volume, A2, alive, one_pod=True)


def test_release_lets_the_next_one_in(volume: Path) -> None:
    fence.acquire(volume, A, alive)
    fence.release(volume, A.records)
    fence.release(volume, A.records)
    fence.acquire(volume, B, alive)
    assert fence.holds(volume, B)


def test_taking_twice_is_taking_once_and_content_is_untouched(volume: Path) -> None:
    fence.acquire(volume, A, alive)
    fence.acquire(volume, A, alive)
    assert list(volume.iterdir()) == []
    fence.release(volume, A.records)
    assert not fence.holds(volume, A)


def test_what_a_killed_writer_left_behind_its_text_is_passed_over(volume: Path) -> None:
    fence.acquire(volume, A, alive)
    text = fence.file_of(volume).read_text()
    fence.file_of(volume).write_text(text + '"records": "/nodes/x"}]')
    assert fence.holds(volume, A)
    fence.acquire(volume, A2, alive)
    fence.release(volume, A.records)
    assert not fence.holds(volume, A)
    assert fence.holds(volume, A2)


def test_a_fence_torn_by_a_power_cut_lets_the_next_one_in(volume: Path) -> None:
    fence.file_of(volume).write_text('[{"node": "/nodes/a", "rec')
    fence.acquire(volume, B, alive)
    assert fence.holds(volume, B)


def test_a_fence_without_users_leaves_no_file(volume: Path) -> None:
    fence.acquire(volume, A, alive)
    fence.acquire(volume, A2, alive)
    fence.release(volume, A.records)
    assert fence.file_of(volume).exists()
    fence.release(volume, A2.records)
    assert [path.name for path in volume.parent.iterdir()] == [volume.name]


def test_fences_that_come_and_go_at_once_never_let_two_nodes_in(volume: Path) -> None:
    inside: list[str] = []
    most: list[int] = []

    def come_and_go(who: Claimant) -> None:
        for _ in range(200):
            try:
                fence.acquire(volume, who, alive)
            except VolumeFailedError:
                continue
            inside.append(who.node)
            most.append(len(inside))
            inside.remove(who.node)
            fence.release(volume, who.records)

    threads = [Thread(target=come_and_go, args=(who,)) for who in (A, B)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
