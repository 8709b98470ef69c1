import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from petset.cli import leftovers, paths, process, state
from petset.cli.failure import Failure


@pytest.fixture
def where(tmp_path, monkeypatch) -> paths.Paths:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("PETSET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PETSET_RUN", str(tmp_path / "run"))
    return paths.of("a")


def test_saved_cluster_is_read_again(where: paths.Paths) -> None:
    cluster = state.Cluster("a", 3, 6443, {"node-1": 1})
    state.save(where, cluster)
    assert state.load(where) == cluster
    assert cluster.node_ip(1) == "172.29.3.11"
    assert cluster.node_pod_cidr(1) == "10.131.1.0/24"


def test_directory_of_another_format_is_refused_with_both_versions(where: paths.Paths) -> None:
    state.save(where, state.Cluster("a", 0, 1, format=99))
    with pytest.raises(Failure, match="layout 99, this one reads 1"):
        state.load(where)


def test_cluster_elsewhere_is_found_by_name_while_it_runs(where: paths.Paths, tmp_path) -> None:  # type: ignore[no-untyped-def]
    elsewhere = paths.of("a", tmp_path / "elsewhere")
    state.save(elsewhere, state.Cluster("a", 0, 1))
    assert state.find("a").state == tmp_path / "elsewhere"
    assert state.running_names() == ["a"]


def test_running_cluster_keeps_its_addresses(where: paths.Paths) -> None:
    free = state.free_indexes()[0]
    state.save(where, state.Cluster("a", free, 1))
    assert free not in state.free_indexes()


def test_addresses_of_a_stopped_cluster_are_left_to_it_until_its_state_goes(
    where: paths.Paths, tmp_path: Path
) -> None:
    elsewhere = paths.of("a", tmp_path / "elsewhere")
    free = state.free_index()
    state.save(elsewhere, state.Cluster("a", free, 1))
    shutil.rmtree(elsewhere.run)  # as `down` leaves it
    assert free in state.free_indexes()
    assert state.free_index() != free
    state.save(elsewhere, state.Cluster("a", free, 1))
    shutil.rmtree(elsewhere.run)
    assert leftovers.remove_state(elsewhere) == []
    assert state.free_index() == free
    assert not (paths.home() / "ranges").exists()


def test_port_of_a_stopped_cluster_is_left_to_it(where: paths.Paths) -> None:
    free = state.free_port(0)
    assert state.free_port(free) == free
    state.save(where, state.Cluster("a", 0, free))
    assert state.free_port(free) != free


def test_port_of_a_cluster_elsewhere_that_does_not_listen_yet_is_left_to_it(
    where: paths.Paths, tmp_path: Path
) -> None:
    free = state.free_port(0)
    state.save(paths.of("b", tmp_path / "elsewhere"), state.Cluster("b", 0, free))
    assert state.free_port(free) != free


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", "a_b", "a" * 31, "a/b"])
def test_bad_cluster_names_are_refused(name: str) -> None:
    with pytest.raises(Failure, match="no cluster name"):
        state.check_name(name)


def test_what_a_bad_name_was_meant_for_is_said() -> None:
    with pytest.raises(Failure, match="'A' is no node name"):
        state.check_name("A", "node")


def test_pid_file_of_a_dead_or_other_process_is_not_trusted(tmp_path) -> None:  # type: ignore[no-untyped-def]
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = process.start_time(child.pid)
    file = tmp_path / "x.pid"
    file.write_text(f"{child.pid} {started}\n")
    assert process.read(file) == process.Process(child.pid, started or 0)
    file.write_text(f"{child.pid} {(started or 0) + 1}\n")
    assert process.read(file) is None
    file.write_text(f"{child.pid} {started}\n")
    process.stop([process.Process(child.pid, started or 0)])
    assert process.read(file) is None
    child.communicate()


def test_process_whose_starter_was_killed_is_not_taken_for_running(tmp_path: Path) -> None:
    file = tmp_path / "x.pid"
    for go in (False, True):
        started = process.start("timeit", ["-n1", "input()"], pid_file=file, log=tmp_path / "log")
        child = started.process
        if go:
            started.go()
        left = subprocess.Popen(["sleep", "60"])
        words = file.read_text().split(maxsplit=2)
        more = words[2] if len(words) > 2 else ""
        file.write_text(f"{left.pid} {process.start_time(left.pid)}\n{more}")
        process.drop_waiting(file)
        assert (process.read(file) is not None) is go
        left.kill()
        left.wait()
        process.stop([child])


def test_child_that_dies_before_it_is_ready_says_nothing(tmp_path) -> None:  # type: ignore[no-untyped-def]
    started = process.start(
        "petset_no_such_module", [], pid_file=tmp_path / "x.pid", log=tmp_path / "x.log"
    )
    assert started.wait_ready(30) == ""
    assert "petset_no_such_module" in process.tail(started.log)
    process.wait_gone([started.process], 10)
    assert not started.process.alive


def test_child_has_no_file_of_those_who_called_petset(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with lock.open("w") as held:
        os.set_inheritable(held.fileno(), True)
        words = ["--state", str(tmp_path / "state"), "--run", str(tmp_path / "run")]
        started = process.start("server", words, pid_file=tmp_path / "x.pid", log=tmp_path / "log")
        files = set()
        for file in Path(f"/proc/{started.process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # it opens and closes its code's
                files.add(file.readlink())
        assert tmp_path / "log" in files
        assert lock not in files
        process.stop([started.process])
