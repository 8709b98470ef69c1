"""Builds that no tag leads to any more."""

from pathlib import Path

import pytest

from petset.node.images import collect
from petset.node.images.local import Record, Store
from petset.node.images.manifest import Config

A, B, C = ("sha256:" + letter * 64 for letter in "abc")
NGINX = "docker.io/library/nginx:latest"


def put(store: Store, image: str, *tags: str, recipe: str = "nginx") -> None:
    store.layer_path(image).mkdir(parents=True, exist_ok=True)
    store.put(Record(image, (image,), Config((image,)), tags=tags, recipe=recipe))


def ids(store: Store) -> set[str]:
    return {record.id for record in store.records()}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path)
    put(made, C, recipe="")  # somebody's own, loaded without a name
    put(made, A, NGINX)
    put(made, B, NGINX)  # takes the tag
    return made


def test_goes_after_a_while_without_a_tag(store: Store) -> None:
    seen = collect.sweep(store, {}, 100.0)
    assert seen == {A: 100.0}
    assert collect.sweep(store, seen, 99.0 + collect.AGE_S) == seen
    assert ids(store) == {A, B, C}
    assert collect.sweep(store, seen, 100.0 + collect.AGE_S) == {}
    assert ids(store) == {B, C}
    assert not store.has_layer(A)


def test_one_that_has_its_tag_again_stays(store: Store) -> None:
    seen = collect.sweep(store, {}, 0.0)
    store.tag(A, NGINX)
    assert collect.sweep(store, seen, collect.AGE_S) == {B: collect.AGE_S}
    assert ids(store) == {A, B, C}


def test_the_while_begins_when_the_last_container_is_gone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = collect.sweep(store, {}, 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(collect, "layers_in_use", lambda: {str(store.layer_path(A))})
        assert collect.sweep(store, seen, collect.AGE_S) == {}
    seen = collect.sweep(store, {}, collect.AGE_S)
    assert seen == {A: collect.AGE_S}
    assert ids(store) == {A, B, C}
