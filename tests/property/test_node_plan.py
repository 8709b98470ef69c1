"""The pod plan against random worlds: what must never happen, and what must happen in the end."""

from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from petset.node import plan as plans
from petset.node.runtime.base import Run, Sandbox
from petset.node.seen import ContainerSeen, PodSeen, Probed, Waiting

POLICIES = ("Always", "OnFailure", "Never")


def container(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "image": "i", **more}


@st.composite
def pods(draw: st.DrawFn) -> dict[str, Any]:
    inits = [
        container(f"i{n}", **({"restartPolicy": "Always"} if draw(st.booleans()) else {}))
        for n in range(draw(st.integers(0, 3)))
    ]
    mains = [container(f"c{n}") for n in range(draw(st.integers(1, 3)))]
    return {
        "metadata": {"name": "p", "namespace": "default", "uid": "u"},
        "spec": {
            "restartPolicy": draw(st.sampled_from(POLICIES)),
            "terminationGracePeriodSeconds": draw(st.integers(0, 5)),
            "initContainers": inits,
            "containers": mains,
        },
    }


@dataclass
class World:
    """A node on which everything that is asked happens after a while, or fails."""

    pod: dict[str, Any]
    now: float = 1000.0
    exists: bool = True
    sandbox: bool = False
    volumes: bool = False
    confirmed: bool = False
    forgotten: bool = False
    runs: dict[str, list[Run]] = field(default_factory=dict)
    stopping: set[str] = field(default_factory=set)
    busy: dict[str, plans.Action] = field(default_factory=dict)
    waiting: dict[str, Waiting] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)

    def seen(self) -> PodSeen:
        return PodSeen(
            pod=self.pod,
            exists=self.exists,
            sandbox=Sandbox("u", "10.0.0.1") if self.sandbox else None,
            volumes="mounted" if self.volumes else "none",
            waiting=self.waiting,
            containers={name: self._container(name, runs) for name, runs in self.runs.items()},
            busy=frozenset(self.busy),
            confirmed=self.confirmed,
            start_time=1000.0,
        )

    def _container(self, name: str, runs: list[Run]) -> ContainerSeen:
        running = bool(runs) and runs[-1].state == "running"
        return ContainerSeen(
            runs=tuple(runs[-2:]),
            waiting=self.waiting.get(f"container:{name}"),
            probed=Probed(started=running, ready=running),
            uncleaned=tuple(r.id for r in runs if r.state == "exited" and not r.cleaned),
            stale=tuple(r.id for r in runs[:-2]),
        )

    def alive(self) -> list[Run]:
        return [r for runs in self.runs.values() for r in runs if r.state == "running"]

    def step(self) -> plans.Plan:
        """Plan once, and check and begin what was planned."""
        plan = plans.plan(self.seen(), self.now)
        assert plan == plans.plan(self.seen(), self.now)
        for action in plan.actions:
            self._begin(action)
        return plan

    def _begin(self, action: plans.Action) -> None:
        match action:
            case plans.Stop():
                self.stopping.add(action.run_id)
                return
            case plans.AbortStart():
                return
            case plans.Start():
                self._check_start(action)
                key = "start"
            case plans.Clean() | plans.Drop():
                key = f"clean:{action.run_id}"
            case plans.MakeSandbox() | plans.RemoveSandbox():
                key = "sandbox"
            case plans.MountVolumes() | plans.UnmountVolumes():
                key = "volumes"
            case plans.Confirm():
                key = "confirm"
            case plans.Forget():
                key = "forget"
            case plans.Judge():
                raise AssertionError("nothing here is judged")
        assert key not in self.busy, f"{key} was asked for twice"
        if isinstance(action, plans.UnmountVolumes | plans.RemoveSandbox):
            assert not self.alive()
        if isinstance(action, plans.Confirm | plans.Forget):
            assert not self.alive()
            assert not self.sandbox
            assert not self.volumes
            assert not self.busy
            assert all(r.cleaned for runs in self.runs.values() for r in runs)
        self.busy[key] = action

    def _check_start(self, action: plans.Start) -> None:
        runs = self.runs.get(action.name, [])
        assert self.sandbox
        assert self.volumes
        assert self.exists
        assert "deletionTimestamp" not in self.pod["metadata"]
        assert not any(r.state == "running" for r in runs), "a container would run twice"
        assert action.attempt == (runs[-1].attempt + 1 if runs else 0)
        inits = self.pod["spec"]["initContainers"]
        if action.name.startswith("c") and not runs:
            for init in inits:
                last = self.runs.get(init["name"], [None])[-1]
                begun = any(self.runs.get(c["name"]) for c in self.pod["spec"]["containers"])
                assert begun or (last is not None and self._passed(init, last))

    def _passed(self, init: dict[str, Any], run: Run) -> bool:
        if init.get("restartPolicy") == "Always":
            return run.state == "running"
        return run.state == "exited" and run.exit_code == 0

    def finish(self, key: str, *, ok: bool) -> None:
        """An operation ends."""
        action = self.busy.pop(key)
        name = getattr(action, "name", "")
        if not ok and not isinstance(action, plans.Confirm):
            self.waiting[f"container:{name}" if name else key] = Waiting("X", "", self.now + 1)
            if key in ("sandbox", "volumes", "start"):
                return
        match action:
            case plans.MakeSandbox():
                self.sandbox = True
            case plans.RemoveSandbox():
                self.sandbox = False
            case plans.MountVolumes():
                self.volumes = True
            case plans.UnmountVolumes():
                self.volumes = False
            case plans.Start():
                runs = self.runs.setdefault(action.name, [])
                runs.append(self._run(action))
            case plans.Clean():
                self._change(action.run_id, cleaned=True)
            case plans.Drop():
                for name_, runs in self.runs.items():
                    self.runs[name_] = [r for r in runs if r.id != action.run_id]
            case plans.Confirm():
                self.confirmed = ok
                self.exists = not ok
            case plans.Forget():
                self.forgotten = True
            case _:
                raise AssertionError(action)

    def _run(self, action: plans.Start) -> Run:
        return Run(
            id=f"{action.name}-{action.attempt}",
            pod_uid="u",
            name=action.name,
            attempt=action.attempt,
            state="running",
            image_ref="i",
            image_id="i",
            created_at=self.now,
            started_at=self.now,
            backoff=action.backoff,
        )

    def _change(self, run_id: str, **changes: Any) -> None:
        for runs in self.runs.values():
            for i, run in enumerate(runs):
                if run.id == run_id:
                    runs[i] = replace(run, **changes)

    def end(self, run: Run, code: int) -> None:
        self.stopping.discard(run.id)
        self._change(run.id, state="exited", exit_code=code, finished_at=self.now)

    def delete(self) -> None:
        metadata = {**self.pod["metadata"], "deletionTimestamp": "t"}
        self.pod = {**self.pod, "metadata": metadata}


@settings(max_examples=300, deadline=None)
@given(pods(), st.data())
def test_no_world_breaks_the_order_of_life_and_end(
    pod: dict[str, Any], data: st.DataObject
) -> None:
    world = World(pod)
    for _ in range(data.draw(st.integers(5, 40))):
        world.step()
        choices = [f"end {r.id}" for r in world.alive()]
        choices += [f"ok {k}" for k in world.busy] + [f"fail {k}" for k in world.busy]
        choices += ["tick", "delete", "vanish"]
        what, _, key = data.draw(st.sampled_from(choices)).partition(" ")
        world.log.append(f"{what} {key}")
        if what == "end":
            run = next(r for r in world.alive() if r.id == key)
            world.end(run, data.draw(st.sampled_from([0, 0, 1, 137])))
        elif what in ("ok", "fail"):
            world.finish(key, ok=what == "ok")
        elif what == "tick":
            world.now += data.draw(st.sampled_from([0.5, 5.0, 700.0]))
        elif what == "delete":
            world.delete()
        else:
            world.exists = False
    _let_it_go(world)


def _let_it_go(world: World) -> None:
    """From any state, a deleted pod ends in nothing at all."""
    world.delete()
    for _ in range(200):
        world.step()
        if world.forgotten:
            break
        for key in list(world.busy):
            world.finish(key, ok=True)
        for run in [r for r in world.alive() if r.id in world.stopping]:
            world.end(run, 143)
        world.now += 1
    assert world.forgotten, world.log
    assert not world.alive()


@settings(max_examples=200, deadline=None)
@given(pods())
def test_an_undisturbed_pod_comes_to_run(pod: dict[str, Any]) -> None:
    world = World(pod)
    for _ in range(60):
        plan = world.step()
        for key in list(world.busy):
            world.finish(key, ok=True)
        for run in world.alive():
            spec = next((c for c in pod["spec"]["initContainers"] if c["name"] == run.name), None)
            if spec is not None and spec.get("restartPolicy") != "Always":
                world.end(run, 0)
        world.now += plan.requeue_after_s or 0.1
    names = {r.name for r in world.alive()}
    wanted = {c["name"] for c in pod["spec"]["containers"]}
    wanted |= {
        c["name"] for c in pod["spec"]["initContainers"] if c.get("restartPolicy") == "Always"
    }
    assert names == wanted
    assert all(r.attempt == 0 for runs in world.runs.values() for r in runs)


@given(st.integers(0, 100))
def test_back_off_begins_at_once_grows_and_stops_growing(count: int) -> None:
    assert plans.backoff_s(0) == 0
    assert plans.backoff_s(count) <= plans.backoff_s(count + 1) <= plans.BACKOFF_MAX_S
