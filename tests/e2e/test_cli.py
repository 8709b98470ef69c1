"""Bad input and bad machines: one clear line, and nothing half started is left."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import orjson
import pytest

from tests.e2e.cli_box import PETSET, Box, box, listening
from tests.e2e.conftest import eventually


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Box]:
    with box(tmp_path) as made:
        yield made


@contextmanager
def small_disk(directory: Path, size: str) -> Iterator[Path]:
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "small", directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", directory], check=True)


def new_cluster_is_gone(one: Box) -> None:
    one.assert_gone()
    assert not one.where.state.exists()


def programs(directory: Path, *leave_out: str, **scripts: str) -> str:
    """A PATH on which some programs are missing, and some are scripts."""
    made = directory / "bin"
    made.mkdir()
    for name, text in scripts.items():
        (made / name).write_text(f"#!/bin/sh\n{text}\n")
        (made / name).chmod(0o755)
    for folder in ("/usr/bin", "/usr/sbin", "/bin", "/sbin"):
        for program in Path(folder).iterdir():
            link = made / program.name
            if program.name not in leave_out and not link.exists():
                link.symlink_to(program)
    return str(made)


def test_taken_port_is_named(one: Box) -> None:
    with listening("127.0.0.1") as port:
        said = one.refused("up", "--port", str(port))
    assert f"port {port} on 127.0.0.1 cannot be had: Address already in use" in said
    assert f"pid {os.getpid()}" in said
    assert "--port" in said
    new_cluster_is_gone(one)


@pytest.mark.parametrize("which", ["listen", "host_ip"])
def test_port_taken_while_the_cluster_was_stopped(one: Box, which: str) -> None:
    one.run("up")
    cluster = orjson.loads(one.where.cluster_file.read_bytes())
    host = "127.0.0.1" if which == "listen" else f"172.29.{cluster['index']}.1"
    one.run("down")
    with listening(host, cluster["port"]):
        said = one.refused("up")
        assert f"port {cluster['port']} on {host} cannot be had" in said
        one.assert_gone()
        one.run("up", "--port", "0", ok=False)
    one.run("up")
    assert orjson.loads(one.where.cluster_file.read_bytes()) == cluster


def test_refused_move_to_another_port_changes_nothing(one: Box) -> None:
    one.run("up")
    one.run("down")
    before = one.where.cluster_file.read_bytes()
    with listening("127.0.0.1") as port:
        one.refused("up", "--port", str(port), "--nodes", "3")
    assert one.where.cluster_file.read_bytes() == before
    one.run("up")


def test_without_root_the_command_to_type_is_told(one: Box) -> None:
    said = one.refused("up", before=("unshare", "--user"))
    assert "needs root" in said
    assert "sudo" in said
    new_cluster_is_gone(one)


def test_missing_tool_is_named_with_its_package(one: Box, tmp_path: Path) -> None:
    one.env["PATH"] = programs(tmp_path, "conmon", "crun", "runc")
    said = one.refused("up")
    assert "missing on this machine: crun, conmon" in said
    assert "apt-get install" in said
    new_cluster_is_gone(one)


def test_runtime_that_does_not_work_is_told_in_its_own_words(one: Box, tmp_path: Path) -> None:
    broken = "echo no such thing as a container >&2; exit 1"
    one.env["PATH"] = programs(tmp_path, crun=broken, runc=broken)
    said = one.refused("up")
    assert "no container runtime works here" in said
    assert "no such thing as a container" in said
    new_cluster_is_gone(one)


def test_kernel_without_overlayfs_is_named(one: Box, tmp_path: Path) -> None:
    fake = tmp_path / "filesystems"
    fake.write_text("nodev\tproc\n\text4\n")
    one.env["PATH"] = programs(tmp_path, modprobe="exit 1")
    script = f'mount --bind {fake} /proc/filesystems && exec "$@"'
    said = one.refused("up", before=("unshare", "--mount", "sh", "-c", script, "sh"))
    assert "overlay" in said
    new_cluster_is_gone(one)


def test_kernel_without_nftables_is_named(one: Box, tmp_path: Path) -> None:
    refuses = 'case "$*" in *-f*) echo no nf_tables in this kernel >&2; exit 1;; esac'
    one.env["PATH"] = programs(tmp_path, nft=f'{refuses}; exec /usr/sbin/nft "$@"')
    said = one.refused("up")
    assert "no nf_tables in this kernel" in said
    assert "modprobe" in said
    new_cluster_is_gone(one)


def test_state_directory_of_another_version_is_refused(one: Box) -> None:
    one.run("up")
    one.run("down")
    file = one.where.cluster_file
    data = orjson.loads(file.read_bytes())
    file.write_bytes(orjson.dumps({**data, "format": 7}))
    said = one.refused("up")
    assert "layout 7, this one reads 1" in said
    one.assert_gone()
    file.write_bytes(orjson.dumps(data))
    one.run("up")


def test_store_of_another_version_is_refused(one: Box) -> None:
    one.run("up")
    one.run("down")
    with closing(sqlite3.connect(one.where.store / "store.db")) as database:
        database.execute("UPDATE meta SET value = 99 WHERE name = 'format'")
        database.commit()
    said = one.refused("up")
    assert "store format 99" in said
    one.assert_gone()
    assert one.where.cluster_file.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"format": 1, "name": 3}'])
def test_broken_description_is_refused_and_can_be_deleted(one: Box, text: str) -> None:
    one.run("up")
    one.run("down")
    one.where.cluster_file.write_text(text)
    said = one.refused("up")
    assert str(one.where.cluster_file) in said
    one.assert_gone()
    one.run("status", ok=False)
    one.run("down", "--delete-data")
    new_cluster_is_gone(one)


def test_description_broken_while_the_cluster_runs_does_not_stop_down(one: Box) -> None:
    one.run("up")
    one.where.cluster_file.write_text("{")
    one.run("down", "--delete-data")
    new_cluster_is_gone(one)


def test_corrupt_database_is_named(one: Box) -> None:
    one.run("up")
    one.run("down")
    file = one.where.store / "store.db"
    file.write_bytes(b"not a database" * 400)
    said = one.refused("up")
    assert str(file) in said
    one.assert_gone()


@pytest.mark.parametrize("size", ["8k", "64k", "300k"])
def test_full_disk_is_named(one: Box, tmp_path: Path, size: str) -> None:
    with small_disk(tmp_path / "disk", size) as disk:
        said = one.refused("up", "--data-dir", str(disk))
        assert f"the disk of {disk}" in said
        assert "is full" in said
        one.assert_gone()
        assert not list(disk.iterdir())


def test_disk_that_fills_up_refuses_writes_and_goes_on_with_room(one: Box, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "24m") as disk:
        one.run("up", "--data-dir", str(disk))
        ballast = disk / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(16 * 1024))
        refused = ""
        for number in range(50):
            manifest = tmp_path / f"{number}.json"
            config = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": f"m{number}"}}
            manifest.write_bytes(orjson.dumps({**config, "data": {"x": "y" * 20_000}}))
            done = one.start("apply", "-f", str(manifest))
            _, refused = done.communicate(timeout=60)
            if done.returncode:
                break
        assert "full" in refused
        assert one.run("get", "nodes").out
        ballast.unlink()
        one.run("apply", "-f", str(manifest))
        kept = set(one.run("get", "configmaps", "-o", "name").out.split())
        written = {f"configmap/m{n}" for n in range(number + 1)}
        assert kept == {"configmap/kube-root-ca.crt", *written}
        one.run("down")
        one.assert_gone()
        one.run("up", "--data-dir", str(disk))
        one.run("get", "configmap", f"m{number}")
        one.run("down", "--delete-data")


def test_unreadable_kubeconfig_is_named_and_left_alone(tmp_path: Path) -> None:
    broken = tmp_path / "config"
    broken.write_text("{: no yaml")
    with box(tmp_path, KUBECONFIG=str(broken)) as made:
        done = subprocess.run(
            [*PETSET, "up", "--name", made.name],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **made.env},
        )
        assert done.returncode == 1
        assert f"{broken} is no readable kubeconfig" in done.stderr
        assert broken.read_text() == "{: no yaml"
        new_cluster_is_gone(made)


@pytest.mark.parametrize("command", ["up", "down", "get", "status", "node add"])
def test_bad_cluster_names_are_refused(tmp_path: Path, command: str) -> None:
    bad = Box(tmp_path, name="../x")
    assert "no cluster name" in bad.refused(command)


def test_commands_for_what_is_not_there(one: Box) -> None:
    for command in ("get", "node add", "down"):
        assert "there is no cluster" in one.refused(
            command, *(["pods"] if command == "get" else [])
        )
    one.run("up")
    for command in ("node kill", "node remove"):
        said = one.refused(command, "node-9")
        assert "no node 'node-9'" in said
        assert "node-1" in said
    assert "already has" in one.refused("node add", "node-1")
    assert "resource type" in one.refused("get", "gadgets")


def test_foreign_directories_are_neither_used_nor_deleted(one: Box, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    (mine / "logs").mkdir(parents=True)
    (mine / "logs" / "diary").write_text("dear")
    (mine / "cluster.json").write_text('{"format": 3}')
    for command in ("up", "down"):
        more = ["--delete-data"] if command == "down" else []
        one.refused(command, "--data-dir", str(mine), *more)
    (mine / "cluster.json").unlink()
    for command in ("up", "down"):
        more = ["--delete-data"] if command == "down" else []
        said = one.refused(command, "--data-dir", str(mine), *more)
        assert "no petset cluster" in said
    assert (mine / "logs" / "diary").read_text() == "dear"
    one.assert_gone()


def test_directory_of_another_cluster_is_refused(one: Box, tmp_path: Path) -> None:
    with box(tmp_path) as other:
        other.run("up")
        place = str(other.where.state)
        for words in (["up"], ["down"], ["down", "--delete-data"]):
            said = one.refused(*words, "--data-dir", place)
            assert f"belongs to cluster '{other.name}'" in said
        assert "keeps its data in" in other.refused("up", "--data-dir", str(tmp_path / "new"))
        assert set(other.pids()) == {"server", "agent-node-1"}
        other.run("get", "nodes")


def test_places_that_cannot_be_written_are_named(one: Box, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = one.refused("up", "--data-dir", str(tmp_path / "file"))
    assert str(tmp_path / "file") in said
    with small_disk(tmp_path / "disk", "1m") as disk:
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        said = one.refused("up", "--data-dir", str(disk / "below"))
        assert "Read-only file system" in said
        assert "--data-dir" in said
    one.assert_gone()


def test_relative_data_dir_is_meant_from_here(
    one: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one.run("up", "--data-dir", "below/here")
    assert (tmp_path / "below/here/server/store.db").exists()
    one.run("down", "--delete-data")
    assert not (tmp_path / "below/here").exists()


def test_words_that_make_no_sense_end_with_code_2(one: Box) -> None:
    for words in (
        ["up", "--nodez", "3"],
        ["up", "--nodes", "0"],
        ["up", "--port", "70000"],
        ["get", "--colour"],
        ["exec", "web-0"],
        ["fly"],
    ):
        assert one.run(*words, ok=False).code == 2
    assert not one.where.state.exists()


def test_two_ups_at_once_make_one_cluster(one: Box) -> None:
    both = [one.start("up", "--nodes", "2") for _ in range(2)]
    for each in both:
        out, err = each.communicate(timeout=60)
        assert each.returncode == 0, (out, err)
    assert set(one.pids()) == {"server", "agent-node-1", "agent-node-2"}
    one.run("down")
    one.assert_gone()


def test_down_during_up_waits_for_its_turn(one: Box) -> None:
    begun = one.start("up")
    while not one.where.run.exists():
        time.sleep(0.005)
    one.run("down", "--delete-data")
    begun.communicate(timeout=60)
    new_cluster_is_gone(one)


def test_up_interrupted_while_it_tries_a_container_leaves_nothing(one: Box, tmp_path: Path) -> None:
    tried = tmp_path / "tried"
    real = shutil.which("crun")
    crun = f'{real} "$@" && touch {tried} && exec sleep 60'
    one.env["PATH"] = programs(tmp_path, crun=crun)
    begun = one.start("up")
    eventually(tried.exists, "a container was tried")
    begun.terminate()
    begun.communicate(timeout=60)
    new_cluster_is_gone(one)


def test_down_can_be_repeated_until_the_data_is_deleted(one: Box) -> None:
    one.run("up")
    one.run("down")
    one.run("down")
    one.assert_gone()
    one.run("down", "--delete-data")
    assert "there is no cluster" in one.refused("down", "--delete-data")
