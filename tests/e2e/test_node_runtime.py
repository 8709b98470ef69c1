"""One suite for both runtimes: the real one (root, crun or runc) and the fake one."""

import asyncio
import signal
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from petset.base.clock import SystemClock
from petset.base.ids import Ids
from petset.node.images.types import Image
from petset.node.network import node as node_network
from petset.node.runtime import teardown
from petset.node.runtime.base import (
    ContainerConfig,
    Run,
    Runtime,
    RuntimeFailedError,
    SandboxConfig,
)
from petset.node.runtime.oci import OciConfig, OciRuntime
from petset.testing.runtime import Behaviour, FakeMachine, FakeRuntime
from tests.e2e.node_box import cluster_network, make_layer, missing

SCRIPTS = {
    "forever": "trap 'exit 0' TERM; sleep 1000 & wait",
    "stubborn": "trap '' TERM; while true; do sleep 1; done",
    "exit 3": "exit 3",
}
BEHAVIOURS = {
    "forever": Behaviour(commands={"false": 1}),
    "stubborn": Behaviour(stop_s=None),
    "exit 3": Behaviour(exit_after_s=0.0, exit_code=3),
    "nothing": Behaviour(refusal="no such program"),
}


@dataclass
class Rig:
    """A runtime under test, and a way to make its successor."""

    make: Any
    root: Path
    image: Image
    ended: "asyncio.Queue[Run]" = field(default_factory=asyncio.Queue)
    ids: Ids = field(default_factory=Ids)

    async def runtime(self) -> Runtime:
        runtime: Runtime = self.make()
        await runtime.prepare(self.ended.put_nowait)
        return runtime

    async def next_end(self) -> Run:
        async with asyncio.timeout(20):
            return await self.ended.get()

    def container(self, script: str, *, uid: str = "u1", attempt: int = 0) -> ContainerConfig:
        words = ("/bin/sh", "-c", SCRIPTS[script]) if script in SCRIPTS else ("/no/such",)
        return ContainerConfig(
            id=f"{self.ids.rng.getrandbits(128):032x}",
            pod_uid=uid,
            name="c",
            attempt=attempt,
            image=self.image,
            args=words,
            env=(("PATH", "/bin"), ("SCRIPT", script)),
            cwd="",
            mounts=(),
            log_path=str(self.root / "logs" / uid / f"{attempt}.log"),
            backoff=attempt,
        )


def sandbox(uid: str = "u1") -> SandboxConfig:
    return SandboxConfig(uid, "default", "web-0", "web-0")


@pytest.fixture(
    params=[
        "fake",
        pytest.param(
            "real",
            marks=[pytest.mark.e2e, pytest.mark.skipif(bool(missing()), reason=missing() or "-")],
        ),
    ]
)
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    if request.param == "fake":
        machine = FakeMachine(SystemClock(), lambda c: BEHAVIOURS[dict(c.env)["SCRIPT"]])
        image = Image("sha256:1", "docker.io/library/busybox:latest", ())
        yield Rig(lambda: FakeRuntime(machine), tmp_path, image)
        return
    make_layer(tmp_path / "layer")
    image = Image("sha256:1", "docker.io/library/busybox:latest", (str(tmp_path / "layer"),))
    name = "t" + uuid.uuid4().hex[:8]
    run, state, clock, ids = Path("/run/petset") / name, tmp_path / "state", SystemClock(), Ids()
    with cluster_network(name) as lan:
        network = node_network.NodeNetwork(
            run, lan.bridge, lan.port(0), lan.node_address(0), lan.gateway, lan.pod_cidr(0)
        )
        run.mkdir(parents=True)
        state.mkdir()
        node_network.setup(network)
        config = OciConfig(
            run, state, f"/petset/{name}/n0", network.netns, network.address, network.pod_cidr
        )
        try:
            yield Rig(lambda: OciRuntime(config, clock, ids.suffix), tmp_path, image)
        finally:
            teardown.destroy_node(run, state)


async def test_a_container_runs_and_its_end_is_told(rig: Rig) -> None:
    runtime = await rig.runtime()
    await runtime.start_sandbox(sandbox())
    started = await runtime.start(rig.container("exit 3"))
    assert started.started_at >= started.created_at
    ended = await rig.next_end()
    assert (ended.id, ended.state, ended.exit_code) == (started.id, "exited", 3)
    assert not ended.oom_killed
    assert not ended.lost
    assert runtime.runs("u1") == [ended]


async def test_a_sandbox_that_stands_is_kept(rig: Rig) -> None:
    runtime = await rig.runtime()
    first = await runtime.start_sandbox(sandbox())
    assert await runtime.start_sandbox(sandbox()) == first
    other = await runtime.start_sandbox(sandbox("u2"))
    assert other.ip != first.ip
    assert runtime.sandbox("u1") == first
    await runtime.stop_sandbox("u1")
    await runtime.stop_sandbox("u1")
    assert runtime.sandbox("u1") is None


async def test_an_address_given_back_is_not_the_next_one(rig: Rig) -> None:
    runtime = await rig.runtime()
    first = await runtime.start_sandbox(sandbox())
    await runtime.stop_sandbox("u1")
    assert (await runtime.start_sandbox(sandbox("u2"))).ip != first.ip


async def test_a_stop_signal_ends_it_and_kill_ends_the_stubborn(rig: Rig) -> None:
    runtime = await rig.runtime()
    await runtime.start_sandbox(sandbox())
    polite = await runtime.start(rig.container("forever"))
    await until_trapped(runtime, polite)
    runtime.signal(polite.id, signal.SIGTERM)
    assert (await rig.next_end()).id == polite.id
    stubborn = await runtime.start(rig.container("stubborn", attempt=1))
    await until_trapped(runtime, stubborn)
    runtime.signal(stubborn.id, signal.SIGTERM)
    runtime.kill(stubborn.id)
    ended = await rig.next_end()
    assert (ended.id, ended.exit_code) == (stubborn.id, 137)


async def until_trapped(runtime: Runtime, run: Run) -> None:
    """The shell must have set its trap before it is signalled: then it has a child."""
    async with asyncio.timeout(20):
        while (await runtime.run_in(run.id, ["sh", "-c", "ps | grep -q '[s]leep'"], 10)).code:
            await asyncio.sleep(0.01)


async def test_signals_to_what_has_ended_do_nothing(rig: Rig) -> None:
    runtime = await rig.runtime()
    await runtime.start_sandbox(sandbox())
    run = await runtime.start(rig.container("exit 3"))
    await rig.next_end()
    runtime.signal(run.id, signal.SIGTERM)
    runtime.kill(run.id)
    runtime.kill("0" * 32)


async def test_a_program_that_is_not_there_is_a_failed_run(rig: Rig) -> None:
    runtime = await rig.runtime()
    await runtime.start_sandbox(sandbox())
    with pytest.raises(RuntimeFailedError) as caught:
        await runtime.start(rig.container("nothing"))
    assert caught.value.reason == "RunContainerError"
    (run,) = runtime.runs("u1")
    assert (run.state, run.exit_code, run.error) == ("exited", 128, caught.value.message)
    assert (await rig.next_end()).id == run.id


async def test_a_container_that_is_being_made_does_not_hear_its_stop_signal(rig: Rig) -> None:
    runtime = await rig.runtime()
    await runtime.start_sandbox(sandbox())
    config, heard = rig.container("forever"), list[bool]()

    def may_run() -> bool:
        heard.append(runtime.signal(config.id, signal.SIGTERM))
        return not heard[0]

    run = await runtime.start(config, may_run)
    assert heard == [False]
    runtime.kill(run.id)
    await rig.next_end()


async def test_a_container_that_was_never_made_is_told_to_have_ended(rig: Rig) -> None:
    runtime = await rig.runtime()
    await runtime.start_sandbox(sandbox())
    config = rig.container("forever")
    with pytest.raises(RuntimeFailedError):
        await runtime.start(config, lambda: False)
    assert runtime.runs("u1") == []
    ended = await rig.next_end()
    assert (ended.id, ended.state) == (config.id, "exited")


async def test_commands_inside_tell_their_code(rig: Rig) -> None:
    runtime = await rig.runtime()
    await runtime.start_sandbox(sandbox())
    run = await runtime.start(rig.container("forever"))
    assert (await runtime.run_in(run.id, ["true"], 10)).code == 0
    assert (await runtime.run_in(run.id, ["false"], 10)).code == 1
    runtime.kill(run.id)
    await rig.next_end()
    with pytest.raises(RuntimeFailedError, match="not running"):
        await runtime.run_in(run.id, ["true"], 10)


async def test_the_next_runtime_takes_over(rig: Rig) -> None:
    first = await rig.runtime()
    box = await first.start_sandbox(sandbox())
    run = await first.start(rig.container("forever", attempt=2))
    second = await rig.runtime()
    assert second.sandbox("u1") == box
    (found,) = second.runs("u1")
    assert found == run
    assert found.backoff == 2
    second.kill(run.id)
    assert (await rig.next_end()).exit_code == 137


async def test_cleaning_and_forgetting_leave_nothing(rig: Rig) -> None:
    runtime = await rig.runtime()
    await runtime.start_sandbox(sandbox())
    run = await runtime.start(rig.container("exit 3"))
    await rig.next_end()
    await runtime.remove(run.id)
    await runtime.remove(run.id)
    assert [r.cleaned for r in runtime.runs("u1")] == [True]
    await runtime.stop_sandbox("u1")
    assert list(runtime.pods()) == ["u1"]
    await runtime.forget("u1")
    assert list(runtime.pods()) == []
    assert list(runtime.runs("u1")) == []


async def test_an_old_run_is_dropped_alone(rig: Rig) -> None:
    runtime = await rig.runtime()
    await runtime.start_sandbox(sandbox())
    old = await runtime.start(rig.container("exit 3"))
    await rig.next_end()
    await runtime.remove(old.id)
    new = await runtime.start(rig.container("forever", attempt=1))
    await runtime.drop(old.id)
    assert [r.id for r in runtime.runs("u1")] == [new.id]
