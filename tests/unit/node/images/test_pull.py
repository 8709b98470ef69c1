import os
from pathlib import Path

import orjson
import pytest

from petset.base.loopclock import LoopClock
from petset.node.images import pull, reference
from petset.node.images.credentials import Credentials
from petset.node.images.local import Record, Store, StoreError
from petset.node.images.manifest import ManifestError, machine
from petset.node.images.registry import RegistryError, UnreachableError
from petset.node.images.unpack import UnpackError
from tests.unit.node.images.fakeregistry import FakeRegistry, login, registry
from tests.unit.node.images.layers import Built, Entry, digest, image

HERE, _ = machine()
LAYERS = [[Entry("etc/a", b"base"), Entry("b", b"1")], [Entry("b", b"2")]]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "images")


async def fetch(
    fake: FakeRegistry, store: Store, name: str = "app:1", auth: str = "", file: Path | None = None
) -> Record:
    host = f"127.0.0.1:{fake.port}"
    credentials = Credentials({host: auth} if auth else {}, file or store.root / "no-such-file")
    ref = reference.parse(f"{host}/team/{name}")
    return await pull.pull(store, ref, credentials, LoopClock(), lambda _: None)


@pytest.mark.parametrize("docker", [True, False])
async def test_pulls_an_image_of_either_kind(store: Store, docker: bool) -> None:
    async with registry() as fake:
        made = image(LAYERS, docker=docker, Cmd=["run"], Env=["A=b"], User="7")
        fake.add("1", made)
        record = await fetch(fake, store)
    assert record.id == digest(made.config)
    assert record.layers == tuple(made.diff_ids)
    assert (record.config.cmd, record.config.env, record.config.user) == (("run",), ("A=b",), "7")
    assert record.digests == (f"127.0.0.1:{fake.port}/team/app@{made.digest}",)
    assert record.tags == (f"127.0.0.1:{fake.port}/team/app:1",)
    base, top = (store.layer_path(layer) for layer in record.layers)
    assert (base / "etc/a").read_bytes() == b"base"
    assert (base / "b").read_bytes() == b"1"
    assert (top / "b").read_bytes() == b"2"
    assert store.find(f"127.0.0.1:{fake.port}/team/app:1") == record


async def test_does_not_fetch_layers_that_are_here(store: Store) -> None:
    async with registry() as fake:
        fake.add("1", image(LAYERS))
        fake.add("2", image([LAYERS[0], [Entry("c", b"3")]]))
        first = await fetch(fake, store)
        second = await fetch(fake, store, "app:2")
        again = await fetch(fake, store, "app:2")
    assert first.layers[0] == second.layers[0]
    assert again == Record(**{n: getattr(second, n) for n in Record.__slots__} | {
        "created": again.created
    })  # fmt: skip
    layers = [path for path in fake.asked if path.startswith("/v2/team/app/blobs/")]
    configs = 2
    assert len(layers) == 3 + configs
    assert all(fake.asked[path] == 1 for path in layers if path.endswith(_layer_names(fake)))


def _layer_names(fake: FakeRegistry) -> tuple[str, ...]:
    return tuple(name for name, blob in fake.blobs.items() if blob.startswith(b"\x1f\x8b"))


async def test_chooses_this_machine_from_an_index(store: Store) -> None:
    async with registry() as fake:
        ours, other = image(LAYERS), image([[Entry("x", b"other")]])
        index = fake.add_index("1", **{HERE: ours, "mips": other})
        record = await fetch(fake, store)
        assert record.layers == tuple(ours.diff_ids)
        assert record.digests[0].endswith(index)
        by_digest = await fetch(fake, store, f"app@{index}")
        assert by_digest.id == record.id
        fake.add_index("2", mips=other)
        with pytest.raises(ManifestError, match="no match for platform"):
            await fetch(fake, store, "app:2")


async def test_fetches_a_token_when_asked_to(store: Store) -> None:
    async with registry() as fake:
        fake.scheme = "bearer"
        fake.add("1", image(LAYERS))
        await fetch(fake, store)
        assert fake.asked["/token"] == 1


@pytest.mark.parametrize("scheme", ["bearer", "basic"])
async def test_logs_in_with_given_credentials(store: Store, scheme: str) -> None:
    async with registry() as fake:
        fake.scheme, fake.login = scheme, login("joe", "secret")
        fake.add("1", image(LAYERS))
        for wrong in ("", login("joe", "wrong")):
            with pytest.raises(RegistryError, match="pull access denied"):
                await fetch(fake, store, auth=wrong)
        await fetch(fake, store, auth=login("joe", "secret"))


@pytest.mark.parametrize("form", ["auth", "password", "helper"])
async def test_logs_in_as_docker_would(
    store: Store, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with registry() as fake:
        fake.scheme, fake.login = "basic", login("joe", "secret")
        fake.add("1", image(LAYERS))
        host = f"127.0.0.1:{fake.port}"
        entry = (
            {"auth": fake.login} if form == "auth" else {"username": "joe", "password": "secret"}
        )
        document: dict[str, object] = {"auths": {host: entry}}
        if form == "helper":
            helper = tmp_path / "docker-credential-mine"
            answer = '{"Username":"joe","Secret":"secret"}'
            helper.write_text(f"#!/bin/sh\n[ \"$1\" = get ] && cat >/dev/null && echo '{answer}'\n")
            helper.chmod(0o755)
            monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
            document = {"credHelpers": {host: "mine"}}
        file = tmp_path / "config.json"
        file.write_bytes(orjson.dumps(document))
        await fetch(fake, store, file=file)


@pytest.mark.parametrize(
    ("status", "words"), [(404, "not found"), (403, "denied"), (429, "429"), (500, "500")]
)
async def test_definite_answers_are_errors(store: Store, status: int, words: str) -> None:
    async with registry() as fake:
        fake.status = status
        with pytest.raises(RegistryError, match=words):
            await fetch(fake, store)


async def test_a_missing_tag_or_blob_is_an_error(store: Store) -> None:
    async with registry() as fake:
        made = image(LAYERS)
        fake.add("1", made)
        with pytest.raises(RegistryError, match="app:2: not found"):
            await fetch(fake, store, "app:2")
        fake.blobs.popitem()
        with pytest.raises(RegistryError, match="not found"):
            await fetch(fake, store)
    assert store.records() == []
    assert list((store.root / "tmp").iterdir()) == []


async def test_silence_is_told_from_an_answer(store: Store) -> None:
    async with registry() as fake:
        pass
    with pytest.raises(UnreachableError) as caught:
        await fetch(fake, store)
    assert caught.value.host == f"127.0.0.1:{fake.port}"


def _swap(made: Built, size: int) -> Built:
    """The image with other bytes under the last layer's digest."""
    name = list(made.blobs)[-1]
    return Built(made.manifest, made.config, made.blobs | {name: b"x" * size}, made.diff_ids)


async def test_content_with_another_digest_or_size_is_refused(store: Store) -> None:
    made = image(LAYERS)
    size = len(list(made.blobs.values())[-1])
    for wrong, words in ((size, "another digest"), (size - 1, "size"), (size + 1, "size")):
        async with registry() as fake:
            fake.add("1", _swap(made, wrong))
            with pytest.raises(RegistryError, match=words):
                await fetch(fake, store)
    async with registry() as fake:
        fake.manifests["sha256:" + "0" * 64] = made.manifest
        with pytest.raises(RegistryError, match="another digest"):
            await fetch(fake, store, "app@sha256:" + "0" * 64)
    async with registry() as fake:
        lying = Built(made.manifest, made.config, dict(made.blobs), made.diff_ids)
        lying.blobs[digest(made.config)] = made.config.replace(b"linux", b"LINUX")
        fake.add("1", lying)
        with pytest.raises(RegistryError, match="another digest"):
            await fetch(fake, store)
    assert store.records() == []


async def test_a_layer_that_lies_about_its_diff_id_is_refused(store: Store) -> None:
    made, other = image(LAYERS), image([[Entry("x", b"1")], [Entry("y", b"2")]])
    document = orjson.loads(made.manifest)
    document["layers"] = orjson.loads(other.manifest)["layers"]
    async with registry() as fake:
        raw = orjson.dumps(document)
        fake.add("1", Built(raw, made.config, made.blobs | other.blobs, made.diff_ids))
        with pytest.raises(StoreError, match="does not unpack"):
            await fetch(fake, store)


async def test_a_layer_that_escapes_is_refused(store: Store) -> None:
    async with registry() as fake:
        fake.add("1", image([[Entry("../../escaped", b"bad")]]))
        with pytest.raises(UnpackError, match="outside"):
            await fetch(fake, store)
    assert [path.name for path in store.root.parent.rglob("escaped")] == []
    assert store.records() == []
