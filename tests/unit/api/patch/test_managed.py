"""managedFields: entries, how plain writes move fields, versions."""

from typing import Any

from petset.api.meta import Obj
from petset.api.patch import managed
from petset.api.patch.managed import Forms, Writer

MAP = Forms("v1", "io.k8s.api.core.v1.ConfigMap")
NOW = "2026-01-01T00:00:00Z"


def cm(**data: str) -> dict[str, Any]:
    return {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a"}, "data": data}


def entry(manager: str, fields: Any, **more: Any) -> dict[str, Any]:
    return {
        "manager": manager,
        "operation": "Update",
        "apiVersion": "v1",
        "time": NOW,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
        **more,
    }


def one(manager: str, **more: Any) -> Writer:
    return Writer(manager, more.pop("operation", "Update"), more.pop("version", "v1"), **more)


def test_entries_are_ordered_appliers_first_then_by_age_and_name() -> None:
    fields: Any = {"f:data": {"f:a": {}}}
    entries = [
        entry("b", fields),
        entry("a", fields),
        entry("z", fields, time="2001-01-01T00:00:00Z"),
        entry("y", fields, operation="Apply"),
        entry("a", fields, subresource="status"),
    ]
    made = managed.write(managed.read(entries))
    order = [(e["manager"], e.get("subresource", "")) for e in made]
    assert order == [("y", ""), ("z", ""), ("a", ""), ("a", "status"), ("b", "")]
    assert list(made[0]) == [
        "manager",
        "operation",
        "apiVersion",
        "time",
        "fieldsType",
        "fieldsV1",
    ]


def test_an_applier_has_one_entry_over_versions_an_updater_one_for_each() -> None:
    assert one("a", operation="Apply").key == one("a", operation="Apply", version="v2").key
    assert one("a").key != one("a", version="v2").key
    assert one("a").key != one("a", operation="Apply").key
    assert one("a").key != one("a", subresource="status").key


def test_writing_takes_fields_from_everybody() -> None:
    entries = [entry("x", {"f:data": {"f:a": {}, "f:b": {}}}, operation="Apply")]
    made = managed.track(MAP, (cm(a="1", b="1"), cm(a="2", c="1")), entries, one("y"), "later")
    assert [(e["manager"], e["fieldsV1"], e["time"]) for e in made] == [
        ("y", {"f:data": {"f:a": {}, "f:c": {}}}, "later")
    ]


def test_nothing_new_leaves_the_very_list() -> None:
    entries = [entry("x", {"f:data": {"f:a": {}}})]
    assert managed.track(MAP, (cm(a="1"), cm(a="1")), entries, one("y"), NOW) is entries
    renamed = {**cm(a="1"), "metadata": {"name": "a", "generation": 3}}
    assert managed.track(MAP, (cm(a="1"), renamed), entries, one("y"), NOW) is entries
    assert managed.track(MAP, (cm(a="1"), cm()), (), one("y"), NOW) == ()


def test_a_removal_alone_gives_the_writer_nothing() -> None:
    entries = [entry("x", {"f:data": {"f:a": {}, "f:b": {}}})]
    made = managed.track(MAP, (cm(a="1", b="1"), cm(b="1")), entries, one("y"), "later")
    assert made == [entry("x", {"f:data": {"f:b": {}}})]


def test_managers_of_unknown_versions_are_dropped() -> None:
    entries = [
        entry("x", {"f:data": {"f:a": {}}}),
        entry("gone", {"f:data": {"f:a": {}}}, apiVersion="v0"),
    ]
    made = managed.track(MAP, (cm(a="1"), cm(a="1", b="1")), entries, one("x"), NOW)
    assert [e["manager"] for e in made] == ["x"]


def test_managers_of_other_versions_lose_what_changed_in_their_words() -> None:
    def convert(obj: Obj, version: str) -> tuple[Obj, str] | None:
        if version != "v2":
            return None
        data = {f"x{k}": v for k, v in obj["data"].items()}
        return {**obj, "apiVersion": "v2", "data": data}, MAP.schema

    forms = Forms("v1", MAP.schema, convert)
    entries = [entry("old", {"f:data": {"f:xa": {}, "f:xb": {}}}, apiVersion="v2")]
    states = (cm(a="1", b="1"), cm(a="2", b="1"))
    made = managed.track(forms, states, entries, one("new"), NOW)
    assert {e["manager"]: e["fieldsV1"] for e in made} == {
        "old": {"f:data": {"f:xb": {}}},
        "new": {"f:data": {"f:a": {}}},
    }


def test_old_updaters_are_merged_by_version() -> None:
    entries = [
        entry(f"m{i}", {"f:data": {f"f:k{i}": {}}}, time=f"2026-01-01T00:00:{i:02d}Z")
        for i in range(12)
    ]
    data = {f"k{i}": "v" for i in range(12)}
    states = (cm(**data), cm(**data, new="v"))
    made = managed.track(MAP, states, entries, one("n"), "2026-01-02T00:00:00Z")
    assert len(made) == 10
    ancient = next(e for e in made if e["manager"] == "ancient-changes")
    assert ancient["fieldsV1"] == {"f:data": {f"f:k{i}": {} for i in range(4)}}
    assert ancient["time"] == "2026-01-01T00:00:03Z"
    appliers = [{**e, "operation": "Apply"} for e in entries]
    kept = managed.track(MAP, states, appliers, one("n"), NOW)
    assert len(kept) == 13


def test_what_clients_send_back() -> None:
    live = [entry("x", {"f:data": {"f:a": {}}})]
    other = [entry("y", {"f:data": {"f:a": {}}})]
    assert managed.given(None, live) is live
    assert managed.given("text", live) is live
    assert managed.given([dict(live[0])], live) is live
    assert managed.given([], live) == []
    assert managed.given([{}], live) == []
    assert managed.given([{}, {}], live) is live
    assert managed.given(other, live) == other
    assert managed.given([entry("y", {})], live) is live
    assert managed.given([entry("y", {}, fieldsType="")], live) is live
    assert managed.stored([entry("y", {}, fieldsType="FieldsV2")]) == {}


def test_faults_are_named_only_in_lists_that_can_be_read() -> None:
    assert managed.faults([entry("x", {}, operation="Guess")])[0].field == (
        "metadata.managedFields[0].operation"
    )
    assert managed.faults([entry("x", {}), entry("x", {}, operation="Apply")]) == []
    assert managed.faults([{"operation": "Guess"}]) == []
    assert managed.faults(None) == []


def test_times_alone_do_not_tell_lists_apart() -> None:
    a, b = [entry("x", {"f:a": {}})], [entry("x", {"f:a": {}}, time="other")]
    assert managed.same_but_times(a, b)
    assert not managed.same_but_times(a, [entry("y", {"f:a": {}})])


def test_nobody_owns_what_the_server_owns() -> None:
    fields: Any = {
        "f:kind": {},
        "f:apiVersion": {},
        "f:metadata": {"f:name": {}, "f:uid": {}, "f:labels": {"f:x": {}}},
    }
    assert managed.strip(fields) == {"f:metadata": {"f:labels": {"f:x": {}}}}
    assert managed.strip({"f:kind": {}, "f:metadata": {"f:name": {}}}) is None
    assert managed.strip(None) is None
