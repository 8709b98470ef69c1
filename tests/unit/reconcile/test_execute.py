"""The executor: order, stops, guards, events."""

from collections.abc import Awaitable, Callable

from petset.api import errors
from petset.client.transport import TransportError
from petset.reconcile.actions import (
    FAILURE,
    NAME,
    Action,
    Bind,
    Create,
    Delete,
    Emit,
    External,
    Parallel,
    Patch,
    Plan,
    Reported,
    Sequence,
    Update,
)
from petset.reconcile.execute import Executed, Executor, describe
from petset.reconcile.metrics import Metrics
from tests.unit.reconcile.fakes import FakeClient, not_found, pod

GOOD = Emit({}, "Normal", "Good", "went well")
BAD = Emit({}, "Warning", "Bad", "failed error: ")
STATUS = Patch("sets", "default", "web", {"status": {"replicas": 1}}, subresource="status")
OTHER = Patch("sets", "default", "web", {"status": {"replicas": 0}}, subresource="status")


class Bench:
    """An executor with all that it touches."""

    def __init__(self, **externals: Callable[[str], Awaitable[None]]) -> None:
        self.client = FakeClient()
        self.events: list[Emit] = []
        self.metrics = Metrics()
        self.executor = Executor(
            "test", self.client, self.events.append, metrics=self.metrics, externals=externals
        )

    async def do(self, *actions: Action) -> Executed:
        return await self.executor.execute(Plan(actions))


async def test_actions_are_done_in_order_and_the_status_last() -> None:
    bench = Bench()
    actions = (Sequence((Create("pods", pod("a")), Create("pods", pod("b")))), Update("x", pod()))
    done = await bench.executor.execute(Plan(actions, status=STATUS))
    assert done.failure is None
    assert bench.client.calls == [
        "create pods default/a",
        "create pods default/b",
        "update x default/web-0",
        "patch sets/status default/web",
    ]
    assert [w.version for w in done.writes] == [11, 12, 13, 14]


async def test_the_first_failure_stops_everything_but_the_status() -> None:
    bench = Bench()
    error = errors.conflict("pods", "a")
    bench.client.failures["create pods default/a"] = error
    plan = Plan((Create("pods", pod("a")), Create("pods", pod("b"))), status=STATUS)
    done = await bench.executor.execute(plan)
    assert done.failure is error
    assert bench.client.calls == ["create pods default/a", "patch sets/status default/web"]


async def test_after_a_failure_the_status_that_was_reached_is_written() -> None:
    bench = Bench()
    bench.client.failures["create pods default/a"] = TransportError("no answer")
    create = Create("pods", pod("a"))
    await bench.executor.execute(Plan((create,), status=STATUS, status_if_failed=OTHER))
    assert bench.client.bodies[-1] == {"status": {"replicas": 0}}
    await bench.executor.execute(Plan((create,), status=STATUS, status_if_failed=None))
    assert bench.client.calls[-1] == "create pods default/a"


async def test_parallel_batches_grow_and_stop_after_one_with_a_failure() -> None:
    bench = Bench()
    error = errors.forbidden("pods", "p2", "quota")
    bench.client.failures["create pods default/p2"] = error
    done = await bench.do(Parallel(tuple(Create("pods", pod(f"p{i}")) for i in range(9))))
    assert done.failure is error
    assert sorted(bench.client.calls) == [f"create pods default/p{i}" for i in range(3)]


async def test_guards_are_sent_along() -> None:
    bench = Bench()
    await bench.do(
        Patch("pods", "default", "a", {"metadata": {"labels": {"x": "y"}}}, "", "u", "5"),
        Delete("pods", "default", "a", uid="u", grace_s=0, propagation="Foreground"),
        Bind("default", "a", "n1", uid="u"),
    )
    patch, delete, bind = bench.client.bodies
    assert patch == {"metadata": {"labels": {"x": "y"}, "uid": "u", "resourceVersion": "5"}}
    assert delete == ("u", "", 0, "Foreground")
    assert bind["metadata"]["uid"] == "u"
    assert bind["target"]["name"] == "n1"


async def test_deleting_what_is_gone_is_done() -> None:
    bench = Bench()
    bench.client.failures["delete pods default/web-0"] = not_found()
    done = await bench.do(Delete("pods", "default", "web-0"))
    assert done == Executed(None, ())


async def test_a_reported_write_tells_its_end_once() -> None:
    bench = Bench()
    told = Reported(Create("pods", pod("a")), success=GOOD, failure=BAD, quiet=("AlreadyExists",))
    await bench.do(told)
    assert bench.events == [GOOD]
    bench.client.failures["create pods default/a"] = errors.already_exists("pods", "a")
    done = await bench.do(told)
    assert bench.events == [GOOD]
    assert isinstance(done.failure, errors.StatusError)
    bench.client.failures["create pods default/a"] = errors.forbidden("pods", "a", "quota")
    await bench.do(told)
    assert bench.events[1:] == [
        Emit({}, "Warning", "Bad", 'failed error: pods "a" is forbidden: quota')
    ]


async def test_an_event_tells_the_name_that_the_server_gave() -> None:
    bench = Bench()
    made = Emit({}, "Normal", "Made", f"Created pod: {NAME}")
    await bench.do(Reported(Create("pods", pod("a")), success=made))
    assert [e.message for e in bench.events] == ["Created pod: a"]


async def test_a_status_tells_what_went_wrong() -> None:
    bench = Bench()
    bench.client.failures["create pods default/a"] = errors.conflict("pods", "a")
    condition = {"type": "ReplicaFailure", "message": FAILURE}
    status = Patch("sets", "default", "web", {"status": {"conditions": [condition]}})
    plan = Plan((Create("pods", pod("a")),), status=None, status_if_failed=status)
    await bench.executor.execute(plan)
    words = str(errors.conflict("pods", "a"))
    assert bench.client.bodies[-1]["status"]["conditions"] == [{**condition, "message": words}]
    update = Update("sets", {"metadata": {"name": "web"}, "status": {"why": f"no: {FAILURE}"}})
    await bench.executor.execute(Plan((Create("pods", pod("a")),), status_if_failed=update))
    assert bench.client.bodies[-1]["status"]["why"] == f"no: {words}"


async def test_an_outside_effect_is_done_and_its_failure_stops_the_plan() -> None:
    done_for: list[str] = []

    async def work(argument: str) -> None:
        done_for.append(argument)
        if argument == "bad":
            raise OSError("disk full")

    bench = Bench(work=work)
    assert (await bench.do(External("work", "good"))).failure is None
    result = await bench.do(Reported(External("work", "bad"), failure=BAD), Create("pods", pod()))
    assert isinstance(result.failure, OSError)
    assert done_for == ["good", "bad"]
    assert bench.client.calls == []
    assert bench.events[0].message == "failed error: disk full"


async def test_writes_are_counted() -> None:
    bench = Bench()
    await bench.do(Create("pods", pod("a")), Create("pods", pod("b")))
    count = bench.metrics.value(
        "petset_controller_writes_total", controller="test", verb="create", resource="pods"
    )
    assert count == 2


def test_every_write_has_one_line() -> None:
    lines = [
        describe(action)
        for action in (
            Create("pods", pod("a")),
            Create("pods", {"metadata": {"generateName": "a-"}}),
            Update("nodes", {"metadata": {"name": "n1"}}, "status"),
            STATUS,
            Delete("pods", "default", "a"),
            Bind("default", "a", "n1"),
        )
    ]
    assert lines == [
        "create pods default/a",
        "create pods a-",
        "update nodes/status n1",
        "patch sets/status default/web",
        "delete pods default/a",
        "bind pods default/a to n1",
    ]
