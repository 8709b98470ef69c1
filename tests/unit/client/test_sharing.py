import copy
from typing import Any

from petset.client.sharing import ENTRIES_MAX, PART_BYTES_MAX, Sharing


def pod(name: str, ip: str = "10.0.0.1") -> dict[str, Any]:
    return {
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "web"}, "namespace": "name" + "space"},
        "spec": {
            "containers": [{"name": "c", "image": "nginx"}],
            "hostname": name,
            "securityContext": {},
        },
        "status": {
            "podIP": ip,
            "containerStatuses": [{"name": "c", "containerID": ip, "state": {"running": {}}}],
        },
    }


def test_equal_parts_become_one_and_objects_stay_equal() -> None:
    sharing = Sharing()
    one, two = pod("a", "10.0.0.1"), pod("b", "10.0.0.2")
    before = copy.deepcopy((one, two))
    sharing.condense(one)
    sharing.condense(two)
    assert (one, two) == before
    assert one["metadata"]["labels"] is two["metadata"]["labels"]
    assert one["spec"]["containers"] is two["spec"]["containers"]
    assert one["spec"]["securityContext"] is two["spec"]["securityContext"]
    statuses = [p["status"]["containerStatuses"][0] for p in (one, two)]
    assert statuses[0] is not statuses[1]
    assert statuses[0]["state"] is statuses[1]["state"]


def test_values_that_look_alike_stay_apart() -> None:
    sharing = Sharing()
    parts: list[Any] = [{"a": 1}, {"a": True}, {"a": 1.0}, {"a": "1"}, [], {}, ["a"], {"a": None}]
    for part in parts:
        obj = {"spec": {"x": copy.deepcopy(part)}}
        sharing.condense(obj)
        assert repr(obj["spec"]["x"]) == repr(part)


def test_what_is_seen_often_outlives_what_is_seen_once_and_the_tables_stay_small() -> None:
    sharing = Sharing()
    first = pod("first")
    sharing.condense(first)
    for number in range(3 * ENTRIES_MAX):
        other = pod(f"p{number}", f"10.{number}")
        sharing.condense(other)
        assert other["spec"]["containers"] is first["spec"]["containers"]
    assert len(sharing._new) <= ENTRIES_MAX
    assert len(sharing._old) <= ENTRIES_MAX


def test_odd_objects_are_left_as_they_are() -> None:
    sharing = Sharing()
    for odd in ({}, {"metadata": None, "data": None}, {"spec": [1, "x" * 500], "n": 3}):
        obj: dict[str, Any] = copy.deepcopy(odd)
        sharing.condense(obj)
        assert obj == odd


def test_large_parts_are_not_kept_beyond_their_objects_but_what_is_in_them_is_shared() -> None:
    sharing = Sharing()
    objs: list[dict[str, Any]] = [
        {
            "metadata": {"annotations": {"note": str(number) * PART_BYTES_MAX}},
            "spec": {"containers": [{"name": "c", "args": ["x" * 500], "n": i} for i in range(20)]},
        }
        for number in range(2)
    ]
    before = copy.deepcopy(objs)
    for obj in objs:
        sharing.condense(obj)
    assert objs == before
    assert max(map(len, sharing._new)) <= PART_BYTES_MAX
    one, two = (obj["spec"]["containers"][3] for obj in objs)
    assert one["args"] is two["args"]
