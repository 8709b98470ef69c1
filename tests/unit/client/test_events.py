import asyncio
from typing import Any

import orjson

from petset.api import errors
from petset.base.http import Reply, Request, Response
from petset.base.ids import Ids
from petset.base.loopclock import LoopClock
from petset.client import events
from petset.client.events import Recorder
from petset.client.transport import TransportError
from petset.testing.clock import run_virtual
from tests.unit.client import api as fake


class Events:
    """Keeps events by name, as the server would."""

    def __init__(self) -> None:
        self.stored: dict[str, dict[str, Any]] = {}
        self.down = False
        self.refusal: errors.StatusError | None = None
        self.calls = 0

    async def __call__(self, request: Request) -> Reply:
        self.calls += 1
        if self.down:
            raise TransportError("down")
        if self.refusal:
            return fake.status(self.refusal)
        body = orjson.loads(request.body)
        if request.method == "POST":
            assert body["metadata"]["namespace"] in request.path
            if body["metadata"]["name"] in self.stored:
                return fake.status(errors.already_exists("events", body["metadata"]["name"]))
            self.stored[body["metadata"]["name"]] = body
        else:
            name = request.path.rpartition("/")[2]
            if name not in self.stored:
                return fake.status(errors.not_found("events", name))
            self.stored[name] |= body
        return Response(200, (), orjson.dumps(body))

    def recorder(self) -> Recorder:
        return Recorder(fake.client(self), "kubelet", "n1", LoopClock(), Ids(1))

    def said(self) -> list[tuple[str, int]]:
        return [(e["message"], e["count"]) for e in self.stored.values()]


POD = fake.pod("web-0", 3)


def test_an_event_tells_all_about_its_object() -> None:
    async def main() -> None:
        api = Events()
        await api.recorder().record(POD, "Normal", "Pulled", "done")
        (event,) = api.stored.values()
        name = event["metadata"].pop("name")
        assert name.startswith("web-0.")
        assert int(name.removeprefix("web-0."), 16) // 1000 == 1_700_000_000_000_000
        assert event == {
            "kind": "Event",
            "apiVersion": "v1",
            "metadata": {"namespace": "default"},
            "involvedObject": {
                "kind": "Pod",
                "apiVersion": "v1",
                "name": "web-0",
                "namespace": "default",
                "resourceVersion": "3",
            },
            "reason": "Pulled",
            "message": "done",
            "source": {"component": "kubelet", "host": "n1"},
            "firstTimestamp": "2023-11-14T22:13:20Z",
            "lastTimestamp": "2023-11-14T22:13:20Z",
            "count": 1,
            "type": "Normal",
            "reportingComponent": "kubelet",
            "reportingInstance": "n1",
        }

    run_virtual(main())


def test_an_event_whose_name_is_taken_gets_another() -> None:
    async def main() -> None:
        api = Events()
        for word in ("one", "two"):  # recorders that draw the same numbers at the same time
            await api.recorder().record(POD, "Normal", "Pulled", word)
        assert api.said() == [("one", 1), ("two", 1)]
        assert api.calls == 3

    run_virtual(main())


def test_events_of_cluster_scoped_objects_are_kept_in_default() -> None:
    async def main() -> None:
        api = Events()
        node = {"kind": "Node", "apiVersion": "v1", "name": "n1", "uid": "n1"}
        await api.recorder().record(node, "Normal", "NodeReady", "ready")
        (event,) = api.stored.values()
        assert event["metadata"]["namespace"] == "default"
        assert event["involvedObject"] == node

    run_virtual(main())


def test_a_repeat_counts_up_and_moves_the_last_time() -> None:
    async def main() -> None:
        api = Events()
        recorder = api.recorder()
        for _ in range(3):
            await recorder.record(POD, "Warning", "BackOff", "again")
            await asyncio.sleep(10)
        (event,) = api.stored.values()
        assert event["count"] == 3
        assert event["firstTimestamp"] == "2023-11-14T22:13:20Z"
        assert event["lastTimestamp"] == "2023-11-14T22:13:40Z"

    run_virtual(main())


def test_a_repeat_of_an_event_the_server_forgot_is_made_anew() -> None:
    async def main() -> None:
        api = Events()
        recorder = api.recorder()
        await recorder.record(POD, "Warning", "BackOff", "again")
        api.stored.clear()
        await recorder.record(POD, "Warning", "BackOff", "again")
        assert api.said() == [("again", 2)]
        await recorder.record(POD, "Warning", "BackOff", "again")
        assert api.said() == [("again", 3)]

    run_virtual(main())


def test_many_similar_events_are_combined() -> None:
    async def main() -> None:
        api = Events()
        recorder = api.recorder()
        for number in range(15):
            await recorder.record(POD, "Warning", "Failed", f"try {number}")
        said = api.said()
        assert said[:10] == [(f"try {number}", 1) for number in range(10)]
        assert said[10:] == [(events.COMBINED + "try 14", 5)]

    run_virtual(main())


def test_similar_events_far_apart_stay_apart() -> None:
    async def main() -> None:
        api = Events()
        recorder = api.recorder()
        for number in range(12):
            await recorder.record(POD, "Warning", "Failed", f"try {number}")
            await asyncio.sleep(events.SIMILAR_WINDOW_S + 1)
        assert len(api.stored) == 12

    run_virtual(main())


def test_a_flood_about_one_object_is_cut_but_not_about_another() -> None:
    async def main() -> None:
        api = Events()
        recorder = api.recorder()
        for _ in range(40):
            await recorder.record(POD, "Warning", "BackOff", "again")
        assert api.said() == [("again", events.BURST)]
        await recorder.record(fake.pod("web-1", 1), "Warning", "BackOff", "again")
        assert len(api.stored) == 2
        await asyncio.sleep(events.REFILL_S)
        await recorder.record(POD, "Warning", "BackOff", "again")
        await recorder.record(POD, "Warning", "BackOff", "again")
        assert api.said()[0] == ("again", events.BURST + 1)

    run_virtual(main())


def test_what_happens_often_does_not_silence_what_happens_once() -> None:
    async def main() -> None:
        api = Events()
        recorder = api.recorder()
        for _ in range(40):
            await recorder.record(POD, "Normal", "SuccessfulCreate", "made")
        await recorder.record(POD, "Warning", "RolledBack", "taken back")
        assert api.said() == [("made", events.BURST), ("taken back", 1)]

    run_virtual(main())


def test_events_wait_for_an_unreachable_server_and_then_go_out_in_order() -> None:
    async def main() -> None:
        api = Events()
        recorder = api.recorder()
        api.down = True
        await recorder.record(POD, "Normal", "Pulling", "one")
        await recorder.record(POD, "Normal", "Pulled", "two")
        assert api.stored == {}
        api.down = False
        await recorder.record(POD, "Normal", "Started", "three")
        assert api.said() == [("one", 1), ("two", 1), ("three", 1)]

    run_virtual(main())


def test_what_waits_for_a_server_that_stays_away_is_bounded() -> None:
    async def main() -> None:
        api = Events()
        recorder = api.recorder()
        api.down = True
        for number in range(events.BACKLOG_MAX + 100):
            await recorder.record(fake.pod(f"p{number}", 1), "Normal", "Pulling", "one")
        api.down = False
        await recorder.flush()
        assert 0 < len(api.stored) <= events.BACKLOG_MAX

    run_virtual(main())


def test_an_event_the_server_refuses_is_dropped() -> None:
    async def main() -> None:
        api = Events()
        recorder = api.recorder()
        api.refusal = errors.forbidden("events", "", "no")
        await recorder.record(POD, "Normal", "Pulling", "one")
        api.refusal = None
        await recorder.flush()
        assert (api.stored, api.calls) == ({}, 1)

    run_virtual(main())


def test_the_same_said_twice_at_once_is_one_event() -> None:
    async def main() -> None:
        api = Events()
        recorder = api.recorder()
        say = [recorder.record(POD, "Normal", "Pulling", "one") for _ in range(3)]
        await asyncio.gather(*say)
        assert api.said() == [("one", 3)]

    run_virtual(main())
