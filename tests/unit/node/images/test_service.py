import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from petset.base.clock import SystemClock
from petset.node.images import recipes, service, silence
from petset.node.images.local import Record, Store
from petset.node.images.manifest import Config
from petset.node.images.service import ImageService
from petset.node.images.types import ImageError
from petset.node.images.workerio import Failure, Tell
from petset.node.images.workers import PULLER
from tests.unit.node.images.fakeregistry import registry
from tests.unit.node.images.layers import Entry, image

A, B, LAYER, D = ("sha256:" + letter * 64 for letter in "abcd")


class FakeRun:
    """Workers that put images into the store at once, and remember what they were asked."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.asked: list[tuple[str, str]] = []
        self.silent = ""
        self.refusal = ""
        self.origin = ""
        self.broken = ""
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, module: str, request: Mapping[str, Any], tell: Tell) -> list[str]:
        if module == PULLER:
            self.asked.append(("pull", request["ref"]))
            await self.gate.wait()
            if self.silent:
                raise Failure("unreachable", self.silent, request["ref"].partition("/")[0])
            if self.refusal:
                raise Failure("failed", self.refusal)
            return [self._put(A, (request["ref"],))]
        self.asked.append(("build", request["recipe"]))
        await self.gate.wait()
        if self.broken:
            raise Failure("failed", self.broken)
        name = request["recipe"]
        tag = f"docker.io/library/{name}:latest"
        origin = self.origin or recipes.load(name).origin
        return [self._put(D if self.origin else B, (tag,), name, {recipes.ORIGIN: origin})]

    def _put(
        self,
        image_id: str,
        tags: tuple[str, ...],
        recipe: str = "",
        labels: Mapping[str, str] | None = None,
    ) -> str:
        self.store.layer_path(LAYER).mkdir(parents=True, exist_ok=True)
        config = Config((LAYER,), cmd=("run",), labels=labels or {})
        note = f"{recipe} 1.2 of Debian" if recipe else ""
        self.store.put(
            Record(image_id, (LAYER,), config, size=42, tags=tags, recipe=recipe, note=note)
        )
        return image_id


class Later:
    """The system's clock, some seconds ahead."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def now(self) -> float:
        return SystemClock().now() + self._seconds


class Desk:
    """A service on fake workers, and the events it reported."""

    def __init__(self, root: Path, **more: Any) -> None:
        self.run = FakeRun(Store(root))
        self.service = ImageService(root, run=self.run, **more)
        self.events: list[tuple[str, str, str]] = []

    async def ensure(self, ref: str, policy: str = "IfNotPresent") -> str:
        image = await self.service.ensure(ref, policy, lambda *e: self.events.append(e))
        return image.id

    async def refused(self, ref: str, policy: str = "IfNotPresent") -> ImageError:
        with pytest.raises(ImageError) as caught:
            await self.ensure(ref, policy)
        return caught.value

    def told(self) -> list[tuple[str, str]]:
        told, self.events = self.events, []
        return [(reason, message) for _, reason, message in told]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "images")


SILENT = "Registry docker.io could not be reached (no route)"


async def test_pulls_what_is_missing_and_says_so_as_the_kubelet_does(desk: Desk) -> None:
    assert await desk.ensure("nginx") == A
    first, second = desk.told()
    assert first == ("Pulling", 'Pulling image "nginx"')
    assert second[0] == "Pulled"
    start, _, end = second[1].partition(" in ")
    assert start == 'Successfully pulled image "nginx"'
    assert end.endswith(" including waiting). Image size: 42 bytes.")
    found = desk.service.local("nginx")
    assert found is not None
    assert (found.ref, found.cmd, found.size) == ("docker.io/library/nginx:latest", ("run",), 42)


async def test_if_not_present_takes_what_is_here(desk: Desk) -> None:
    await desk.ensure("nginx")
    desk.told()
    await desk.ensure("nginx:latest")
    words = 'Container image "nginx:latest" already present on machine'
    assert desk.told() == [("Pulled", words)]
    assert len(desk.run.asked) == 1


async def test_always_asks_again(desk: Desk) -> None:
    await desk.ensure("nginx")
    await desk.ensure("nginx", "Always")
    assert len(desk.run.asked) == 2


async def test_never_does_not_ask(desk: Desk) -> None:
    error = await desk.refused("nginx", "Never")
    assert error.reason == "ErrImageNeverPull"
    assert error.message == 'Container image "nginx" is not present with pull policy of Never'
    assert desk.told() == [("ErrImageNeverPull", error.message)]
    assert desk.run.asked == []
    await desk.ensure("nginx")
    assert await desk.ensure("nginx", "Never") == A


async def test_names_that_are_none_are_invalid(desk: Desk) -> None:
    error = await desk.refused("Nginx")
    assert error.reason == "InvalidImageName"
    assert error.message.startswith('Failed to apply default image tag "Nginx": ')
    assert desk.told() == [("InspectFailed", error.message)]
    assert desk.service.local("Nginx") is None


async def test_a_refusal_is_an_error_and_no_reason_to_build(desk: Desk) -> None:
    desk.run.refusal = "nginx: not found"
    error = await desk.refused("nginx")
    assert (error.reason, error.message) == ("ErrImagePull", "nginx: not found")
    assert desk.told()[-1] == ("Failed", 'Failed to pull image "nginx": nginx: not found')
    assert desk.run.asked == [("pull", "docker.io/library/nginx:latest")]


async def test_a_silent_registry_is_replaced_by_the_recipe(desk: Desk) -> None:
    desk.run.silent = "no route"
    assert await desk.ensure("nginx", "Always") == B
    built = (
        f'{SILENT}: image "nginx" was built from recipe nginx, that is from the distribution\'s '
        "packages: nginx 1.2 of Debian"
    )
    assert desk.told() == [
        ("Pulling", 'Pulling image "nginx"'),
        ("BuildingFromRecipe", f'{SILENT}: building image "nginx" from recipe nginx'),
        ("BuiltFromRecipe", built),
    ]
    assert await desk.ensure("nginx", "Always") == B
    assert await desk.ensure("nginx:1.27") == B
    assert await desk.ensure("registry.k8s.io/nginx-slim:0.24") == B
    assert [kind for kind, _ in desk.run.asked].count("build") == 1


async def test_without_a_recipe_silence_is_an_error(desk: Desk) -> None:
    desk.run.silent = "no route"
    for ref in ("nope", f"nginx@{A}"):
        error = await desk.refused(ref)
        assert error.reason == "ErrImagePull"
        assert "docker.io could not be reached (no route), and petset has no" in error.message


async def test_recipes_do_not_stand_in_for_tags_that_no_release_has(desk: Desk) -> None:
    desk.run.silent = "no route"
    await desk.ensure("nginx:1.27")
    error = await desk.refused("nginx:broken")
    assert error.reason == "ErrImagePull"
    assert error.message.endswith("docker.io/library/nginx:broken: not found: manifest unknown")
    assert desk.told()[-1] == ("Failed", f'Failed to pull image "nginx:broken": {error.message}')
    assert desk.service.local("nginx:broken") is None


async def test_silence_is_remembered_for_a_while(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "images", unreachable_s=1000)
    desk.run.silent = "no route"
    await desk.ensure("nginx", "Always")
    await desk.refused("nope")
    await desk.ensure("redis")
    assert [ref for kind, ref in desk.run.asked if kind == "pull"] == [
        "docker.io/library/nginx:latest"
    ]
    await desk.ensure("quay.io/quay/busybox")
    assert desk.run.asked[-2] == ("pull", "quay.io/quay/busybox:latest")


async def test_pod_does_not_wait_for_a_silent_registry_and_the_next_one_gets_what_it_brings(
    tmp_path: Path,
) -> None:
    desk = Desk(tmp_path / "images", unreachable_s=0)
    desk.run.silent = "no route"
    await desk.ensure("nginx", "Always")
    desk.run.silent = ""
    assert await desk.ensure("nginx", "Always") == B
    while desk.run.asked[-1][0] != "pull" or await desk.ensure("nginx") != A:
        await asyncio.sleep(0)
    assert await desk.ensure("nginx", "Always") == A
    assert await desk.ensure("nginx", "Always") == A
    await desk.service.close()


async def test_silence_is_known_to_other_agents_of_the_machine(tmp_path: Path) -> None:
    first = Desk(tmp_path / "images", unreachable_s=1000)
    first.run.silent = "no route"
    await first.ensure("nginx", "Always")
    second = Desk(tmp_path / "images", unreachable_s=1000)
    assert await second.ensure("nginx", "Always") == B
    assert second.run.asked == []
    later = Desk(tmp_path / "images", clock=Later(silence.TRUSTED_S + 1))
    assert await later.ensure("nginx", "Always") == A


async def test_a_pulled_image_outlives_the_silence_of_its_registry(desk: Desk) -> None:
    await desk.ensure("nginx")
    desk.run.silent = "no route"
    desk.told()
    assert await desk.ensure("nginx", "Always") == A
    assert desk.told()[-1] == ("Pulled", 'Container image "nginx" already present on machine')


async def test_pods_that_want_the_same_image_wait_for_one_pull(desk: Desk) -> None:
    desk.run.gate.clear()
    desk.run.silent = "no route"
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(desk.ensure("nginx")) for _ in range(5)]
        await asyncio.sleep(0)
        desk.run.gate.set()
    assert {task.result() for task in waiting} == {B}
    assert desk.run.asked == [("pull", "docker.io/library/nginx:latest"), ("build", "nginx")]
    reasons = [reason for reason, _ in desk.told()]
    for reason in ("Pulling", "BuildingFromRecipe", "BuiltFromRecipe"):
        assert reasons.count(reason) == 5


async def test_a_pull_goes_on_when_one_of_its_pods_goes_away(desk: Desk) -> None:
    desk.run.gate.clear()
    gone = asyncio.ensure_future(desk.ensure("nginx"))
    stays = asyncio.ensure_future(desk.ensure("nginx"))
    while not desk.run.asked:
        await asyncio.sleep(0)
    gone.cancel()
    desk.run.gate.set()
    assert await stays == A
    assert gone.cancelled()
    assert len(desk.run.asked) == 1


async def test_closing_stops_what_is_under_way(desk: Desk) -> None:
    desk.run.gate.clear()
    waiting = asyncio.ensure_future(desk.ensure("nginx"))
    while not desk.run.asked:
        await asyncio.sleep(0)
    await desk.service.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_real_workers_pull_load_and_report_failures(tmp_path: Path) -> None:
    root = tmp_path / "images"
    async with registry() as fake:
        fake.add("1", image([[Entry("a", b"1")]], Cmd=["run"]))
        ref = f"127.0.0.1:{fake.port}/team/app:1"
        told: list[str] = []
        record = await service.pull(root, ref, told.append)
        assert record.config.cmd == ("run",)
        assert told
        own = ImageService(root)
        events: list[str] = []
        found = await own.ensure(ref, "Always", lambda *e: events.append(e[1]))
        assert (Path(found.layers[0]) / "a").read_bytes() == b"1"
        assert events == ["Pulling", "Pulled"]
        with pytest.raises(ImageError, match="not found"):
            await service.pull(root, f"127.0.0.1:{fake.port}/team/app:2", told.append)
    with pytest.raises(ImageError, match=f"registry 127.0.0.1:{fake.port} could not be reached"):
        await service.pull(root, ref, told.append)
    with pytest.raises(ImageError, match="must be lowercase"):
        await service.pull(root, "Bad", told.append)
    with pytest.raises(ImageError, match="no recipe 'nope'; there are busybox"):
        await service.build(root, "nope", told.append)
    with pytest.raises(ImageError, match="No such file"):
        await service.load(root, tmp_path / "nothing.tar", told.append)
    assert [r.id for r in await service.ls(root)] == [record.id]
    with pytest.raises(ImageError, match="in use"):
        await service.rm(root, ref, in_use=[record.id])
    assert (await service.rm(root, ref))[-1] == f"Deleted: {record.id}"
    with pytest.raises(ImageError, match="no such image"):
        await service.rm(root, ref)


async def test_a_worker_ends_in_peace_while_its_input_stays_open(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", PULLER),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    request = {"root": str(tmp_path), "ref": "127.0.0.1:1/a", "auths": {}}
    process.stdin.write(orjson.dumps(request) + b"\n")
    assert b'"kind":"unreachable"' in await process.stdout.read()
    assert await process.stderr.read() == b""
    assert await process.wait() == 1
    process.stdin.close()


async def test_a_worker_dies_with_whoever_wanted_its_work(tmp_path: Path) -> None:
    silent = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", PULLER, stdin=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert process.stdin is not None
    request = {"root": str(tmp_path), "ref": f"127.0.0.1:{port}/a", "auths": {}}
    process.stdin.write(orjson.dumps(request) + b"\n")
    process.stdin.close()
    assert await process.wait() == -9
    silent.close()


async def test_a_cancelled_worker_dies_and_leaves_nothing(tmp_path: Path) -> None:
    root = tmp_path / "images"
    silent = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    own = ImageService(root)
    waiting = asyncio.ensure_future(
        own.ensure(f"127.0.0.1:{port}/team/app:1", "Always", lambda *e: None)
    )
    while not _workers(str(root)):
        await asyncio.sleep(0.01)
    await own.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not _workers(str(root))
    silent.close()


def _workers(root: str) -> list[Path]:
    """Puller processes that are children of this one."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if PULLER in path.read_text() and _parent(path.parent) == str(_own_pid()):
                found.append(path)
        except OSError:
            continue
    return found


def _parent(folder: Path) -> str:
    return (folder / "stat").read_text().rpartition(")")[2].split()[1]


def _own_pid() -> int:
    return int(Path("/proc/self").readlink().name)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0ms"), (0.3456, "345ms"), (1.2, "1.2s"), (2.0, "2s"), (61.5, "1m1.5s"),
     (3600, "1h0m0s")],
)  # fmt: skip
def test_durations_are_written_as_go_does(seconds: float, text: str) -> None:
    assert service._duration(seconds) == text


async def _old_build(desk: Desk, origin: str = "shipped:0") -> None:
    """An image that was built from another version of its recipe."""
    desk.run.silent, desk.run.origin = "no route", origin
    assert await desk.ensure("nginx:1.27") == D
    desk.run.origin = ""
    desk.run.asked.clear()
    desk.told()


async def test_what_was_built_from_an_older_recipe_is_built_again_once(desk: Desk) -> None:
    await _old_build(desk)
    assert await asyncio.gather(*(desk.ensure("nginx:1.27") for _ in range(3))) == [B, B, B]
    assert desk.run.asked == [("build", "nginx")]
    told = desk.told()
    words = 'Recipe nginx has changed since image "nginx:1.27" was built: building it again'
    assert told.count(("BuildingFromRecipe", words)) == 3
    assert await desk.ensure("nginx:1.27", "Always") == B
    assert desk.run.asked == [("build", "nginx")]


async def test_an_older_build_serves_where_it_cannot_be_built_again(desk: Desk) -> None:
    await _old_build(desk)
    desk.run.broken = "no packages"
    assert await desk.ensure("nginx:1.27") == D
    assert await desk.ensure("nginx:1.27") == D
    assert desk.run.asked == [("build", "nginx")]
    assert "no packages" in dict(desk.told()[1:])["BuildingFromRecipe"]


async def test_a_build_of_another_version_that_is_here_is_not_made_again(desk: Desk) -> None:
    await _old_build(desk)
    assert await desk.ensure("nginx:1.27") == B
    desk.service.store.take_over(D)  # by a petset of another version beside
    assert await desk.ensure("nginx:1.27") == B
    assert desk.run.asked == [("build", "nginx")]


async def test_what_was_built_from_ones_own_recipe_stays(desk: Desk) -> None:
    await _old_build(desk, "own:1")
    assert await desk.ensure("nginx:1.27") == D
    assert await desk.ensure("nginx:1.27", "Never") == D
    assert desk.run.asked == []
