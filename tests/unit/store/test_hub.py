import pytest

from petset.store.hub import EVENT_OVERHEAD, History, Hub
from petset.store.types import CompactedError, Event


def event(revision: int, key: str = "pods/a/x", size: int = 0) -> Event:
    return Event(revision, False, key, 1, b"x" * size, None)


def revisions(history: History, prefix: str, after: int) -> list[int]:
    return [e.revision for e in history.after(prefix, after)]


def test_each_resource_has_its_own_history() -> None:
    history = History(10, bytes_max=1 << 20, age_max_s=60)
    history.add([event(11), event(12, "nodes//n"), event(13, "pods/b/x"), event(14)], 0)
    assert revisions(history, "pods/", 10) == [11, 13, 14]
    assert revisions(history, "pods/", 11) == [13, 14]
    assert revisions(history, "pods/b/", 10) == [13]
    assert revisions(history, "nodes/", 10) == [12]
    assert revisions(history, "secrets/", 10) == []
    with pytest.raises(CompactedError):
        history.after("pods/", 9)


def test_no_more_bytes_are_kept_than_allowed() -> None:
    history = History(0, bytes_max=10 * (EVENT_OVERHEAD + 50), age_max_s=60)
    for revision in range(1, 501):
        history.add([event(revision, size=50)], 0)
    assert history.compacted == 490
    assert revisions(history, "pods/", 490) == list(range(491, 501))


def test_an_event_larger_than_the_bound_is_not_kept() -> None:
    history = History(0, bytes_max=1000, age_max_s=60)
    history.add([event(1, size=5000)], 0)
    assert history.compacted == 1
    assert revisions(history, "pods/", 1) == []


def test_old_events_go_together_with_their_commit() -> None:
    history = History(0, bytes_max=1 << 20, age_max_s=60)
    history.add([event(1), event(2)], 0)
    history.add([event(3)], 50)
    history.add([event(4)], 61)
    assert history.compacted == 2


def test_publishing_asks_nobody_of_other_resources() -> None:
    hub = Hub()
    asked: list[str] = []
    for name in ("pods/", "nodes/", "secrets/"):
        hub.subscribe(name, lambda events, name=name: asked.append(name))  # type: ignore[misc]
    calls = hub.publish([event(1), event(2)])
    assert len(calls) == 1
    calls[0]()
    assert asked == ["pods/"]
