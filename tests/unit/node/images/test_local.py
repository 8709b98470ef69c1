import subprocess
import sys
from pathlib import Path

import pytest

from petset.node.images.local import InUseError, Record, Store, StoreError
from petset.node.images.manifest import Config

A, B, C = ("sha256:" + letter * 64 for letter in "abc")
NGINX = "docker.io/library/nginx:latest"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "images")


def layer(store: Store, diff_id: str) -> Path:
    with store.scratch() as scratch:
        made = scratch / "layer"
        made.mkdir()
        (made / "file").write_text(diff_id)
        store.adopt_layer(made, diff_id)
    return store.layer_path(diff_id)


def put(store: Store, image_id: str, layers: tuple[str, ...], *tags: str) -> Record:
    for one in layers:
        if not store.has_layer(one):
            layer(store, one)
    config = Config(layers, ("/e",), ("c",), ("A=b",), "/w", "1", "SIGQUIT", {"a": "b"})
    return store.put(Record(image_id, layers, config, size=5, tags=tags))


def test_what_is_put_in_is_found_again_by_another_process(store: Store) -> None:
    record = put(store, A, (B, C), NGINX)
    again = Store(store.root)
    assert again.find("nginx") == record
    assert again.find(A) == record
    assert again.find("nginx:other") is None
    assert again.find("Not A Reference") is None
    image = again.image(record, NGINX)
    assert image.layers == (str(store.root / "l" / ("b" * 12)), str(store.root / "l" / ("c" * 12)))
    assert (image.entrypoint, image.cmd, image.env) == (("/e",), ("c",), ("A=b",))
    assert (image.working_dir, image.user, image.stop_signal) == ("/w", "1", "SIGQUIT")
    assert image.labels == {"a": "b"}


def test_finds_by_digest(store: Store) -> None:
    layer(store, B)
    digest = f"docker.io/library/nginx@{C}"
    store.put(Record(A, (B,), Config((B,)), digests=(digest,)))
    found = store.find(f"nginx@{C}")
    assert found is not None
    assert store.image(found, "x").digest == digest
    assert store.find("nginx") is None


def test_a_tag_moves_to_the_image_that_came_last(store: Store) -> None:
    put(store, A, (C,), NGINX, "docker.io/library/nginx:1")
    put(store, B, (C,), NGINX)
    assert store.find("nginx") == store.find(B)
    assert store.find("nginx:1") == store.find(A)
    store.tag(A, NGINX)
    found = store.find("nginx")
    assert found is not None
    assert found.id == A
    with pytest.raises(StoreError):
        store.tag(C, NGINX)


def test_a_new_build_of_a_recipe_takes_the_tags_of_the_one_before(store: Store) -> None:
    fifteen = "docker.io/library/postgres:15"
    for image_id, recipe, tag in (
        (A, "postgres", fifteen),
        (B, "postgres", "docker.io/library/x:latest"),
    ):
        layer(store, image_id)
        store.put(Record(image_id, (image_id,), Config((C,)), tags=(tag,), recipe=recipe))
    put(store, C, (C,), NGINX)
    assert store.find(fifteen) == store.find(B) == store.find("docker.io/library/x")
    found = store.find(A)
    assert found is not None
    assert found.tags == ()
    put(store, "sha256:" + "d" * 64, (C,), "docker.io/library/other:1")
    assert store.find(NGINX) == store.find(C)


def test_putting_again_keeps_tags_and_digests(store: Store) -> None:
    put(store, A, (C,), NGINX)
    record = put(store, A, (C,), "docker.io/library/nginx:1")
    assert record.tags == (NGINX, "docker.io/library/nginx:1")


def test_an_image_without_its_layers_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="went away"):
        store.put(Record(A, (B,), Config((B,))))
    assert store.records() == []


def test_removing_takes_layers_that_nobody_else_needs(store: Store) -> None:
    put(store, A, (B, C), NGINX)
    put(store, B, (C,), "docker.io/library/other:latest")
    assert store.remove("nginx") == [f"Untagged: {NGINX}", f"Deleted: {A}"]
    assert not store.has_layer(B)
    assert store.has_layer(C)
    assert store.remove("b" * 12) == ["Untagged: docker.io/library/other:latest", f"Deleted: {B}"]
    assert not store.has_layer(C)
    assert list((store.root / "tmp").iterdir()) == []
    with pytest.raises(StoreError, match="no such image"):
        store.remove("nginx")


def test_removing_one_of_several_tags_only_untags(store: Store) -> None:
    put(store, A, (C,), NGINX, "docker.io/library/nginx:1")
    assert store.remove("nginx", in_use=[A]) == [f"Untagged: {NGINX}"]
    assert store.find("nginx:1") is not None


@pytest.mark.parametrize("by", ["id", "layer"])
def test_an_image_in_use_stays(store: Store, by: str) -> None:
    put(store, A, (B, C), NGINX)
    used = A if by == "id" else str(store.layer_path(C))
    with pytest.raises(InUseError):
        store.remove("nginx", in_use=[used])
    assert store.find("nginx") is not None
    assert store.has_layer(B)


def test_a_layer_that_is_there_already_wins(store: Store) -> None:
    path = layer(store, B)
    (path / "mark").touch()
    layer(store, B)
    assert (path / "mark").exists()


def test_scratch_is_gone_afterwards_even_after_an_error(store: Store) -> None:
    seen: list[Path] = []

    def fail() -> None:
        with store.scratch() as scratch:
            seen.append(scratch)
            (scratch / "half").mkdir()
            raise KeyError("oops")

    with pytest.raises(KeyError):
        fail()
    assert not seen[0].exists()


def test_scratch_of_dead_processes_is_swept_and_of_living_ones_is_not(store: Store) -> None:
    code = (
        "import os, sys; from pathlib import Path; from petset.node.images.local import Store\n"
        "with Store(Path(sys.argv[1])).scratch() as s: (s / 'x').touch(); os._exit(9)"
    )
    dead = subprocess.run([sys.executable, "-c", code, str(store.root)], check=False)
    assert dead.returncode == 9
    left = list((store.root / "tmp").iterdir())
    assert len(left) == 1
    with store.scratch() as living:
        assert not left[0].exists()
        store.sweep()
        assert living.exists()


def test_the_index_survives_writers_at_the_same_time(store: Store) -> None:
    layer(store, C)
    code = (
        "import sys; from pathlib import Path\n"
        "from petset.node.images.local import Record, Store\n"
        "from petset.node.images.manifest import Config\n"
        f"store, layer = Store(Path(sys.argv[1])), {C!r}\n"
        "for i in range(10):\n"
        "    name = f'{sys.argv[2]}{i}'.rjust(64, '0')\n"
        "    store.put(Record('sha256:' + name, (layer,), Config((layer,))))\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(store.root), str(n)]) for n in range(3)
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert len(store.records()) == 30
    assert sorted(path.name for path in store.root.iterdir()) == ["index.json", "l", "lock", "tmp"]
