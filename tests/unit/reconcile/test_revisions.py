"""Revisions: hashes, names, equality, numbers, history."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petset.api import meta
from petset.api.meta import MutableObj, Obj
from petset.reconcile import revisions
from petset.reconcile.actions import Create, Delete, Patch

REFERENCE = {"kind": "StatefulSet", "name": "web", "uid": "u1", "controller": True}


def template(image: str = "nginx:1", **spec: Any) -> MutableObj:
    labels = {"app": "nginx"}
    return {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "c", "image": image}], **spec},
    }


def owner(**status: Any) -> MutableObj:
    return {"metadata": {"name": "web", "namespace": "default", "uid": "u1"}, "status": status}


def revision(image: str, number: int, count: int = 0) -> MutableObj:
    made = revisions.new_revision(
        owner(), REFERENCE, template(image), number=number, collision_count=count
    )
    made["metadata"] |= {"uid": f"r{number}", "resourceVersion": str(number)}
    return made


def resolve(image: str, *listed: Obj, others: tuple[Obj, ...] = (), **status: Any) -> Any:
    return revisions.resolve(
        owner(**status),
        REFERENCE,
        template=template(image),
        listed=listed,
        in_namespace={meta.name_of(r): r for r in (*listed, *others)},
    )


@pytest.mark.parametrize(
    ("data", "value"), [(b"", 0x811C9DC5), (b"a", 0x050C5D7E), (b"foobar", 0x31F0B262)]
)
def test_the_hash_is_fnv_1_of_32_bits(data: bytes, value: int) -> None:
    assert revisions.fnv1_32(data) == value


def test_names_are_cut_and_safe() -> None:
    assert revisions.safe_encode("0123456789") == "456789bcdf"
    assert revisions.name_for("x" * 300, "abc") == "x" * 223 + "-abc"


def test_the_data_puts_the_template_back() -> None:
    made = revision("nginx:1", 1)
    assert made["data"]["spec"]["template"]["$patch"] == "replace"
    assert revisions.template_of(made) == template()
    assert made["metadata"]["labels"]["app"] == "nginx"
    assert meta.name_of(made) == f"web-{made['metadata']['labels'][revisions.HASH_LABEL]}"


def test_a_revision_carries_the_annotations_of_its_owner() -> None:
    noted = owner()
    noted["metadata"]["annotations"] = {"kubernetes.io/change-cause": "why"}
    made = revisions.new_revision(noted, REFERENCE, template(), number=1, collision_count=0)
    assert made["metadata"]["annotations"] == {"kubernetes.io/change-cause": "why"}
    assert "annotations" not in revision("nginx:1", 1)["metadata"]


def test_the_order_is_by_number_then_by_time_then_by_name() -> None:
    def made(name: str, number: int, second: int) -> MutableObj:
        created = f"2026-01-01T00:00:0{second}Z"
        return {"metadata": {"name": name, "creationTimestamp": created}, "revision": number}

    wanted = [made("z", 1, 9), made("b", 2, 1), made("a", 2, 2), made("c", 2, 2)]
    assert revisions.order(wanted[::-1]) == wanted


def test_equality_looks_at_meaning_not_at_bytes_or_hash() -> None:
    one = revision("nginx:1", 1)
    odd = revision("nginx:1", 1, count=3)
    same = template()
    same["metadata"] |= {"creationTimestamp": None, "annotations": {}}
    same["spec"] |= {"nodeSelector": {}, "volumes": [], "hostname": None}
    assert meta.name_of(one) != meta.name_of(odd)
    assert revisions.are_equal(one, odd)
    assert revisions.are_equal(one, {"data": revisions.data_of_template(same)})
    assert not revisions.are_equal(one, revision("nginx:2", 1))
    volume = {"data": revisions.data_of_template(template(volumes=[{"name": "v", "emptyDir": {}}]))}
    assert not revisions.are_equal(
        volume, {"data": revisions.data_of_template(template(volumes=[{"name": "v"}]))}
    )


def test_what_older_servers_stored_of_unset_fields_makes_no_new_revision() -> None:
    today = template()
    older = template(hostNetwork=False, priorityClassName="", imagePullSecrets=[])
    older["spec"]["containers"][0] |= {"tty": False, "command": []}
    for data in (revisions.data_of_template, dict):
        assert revisions.are_equal({"data": data(older)}, {"data": data(today)})
    meant = template(automountServiceAccountToken=False)
    assert not revisions.are_equal({"data": meant}, {"data": today})


def test_the_first_revision_is_number_one_and_current() -> None:
    found = resolve("nginx:1")
    (create,) = found.actions
    assert isinstance(create, Create)
    assert create.obj["revision"] == 1
    assert found.current is found.update


def test_what_is_stored_has_its_keys_in_order_as_kubectl_expects() -> None:
    """`kubectl rollout undo` skips a roll-back to a template of the same text."""
    (made,) = resolve("nginx:1").actions
    kept = made.obj["data"]["spec"]["template"]
    assert list(kept) == ["$patch", "metadata", "spec"]
    assert list(kept["spec"]["containers"][0]) == ["image", "name"]


def test_an_equal_newest_revision_is_taken_as_it_is() -> None:
    one, two = revision("nginx:1", 1), revision("nginx:2", 2)
    found = resolve("nginx:2", one, two, currentRevision=meta.name_of(one))
    assert found.actions == ()
    assert (found.current, found.update) == (one, two)


def test_a_number_given_twice_is_mended() -> None:
    one, two, twin = revision("i1", 1), revision("i2", 2), revision("i3", 2)
    for wanted in ("i2", "i3"):
        found = resolve(wanted, one, two, twin)
        (patch,) = found.actions
        assert isinstance(patch, Patch)
        assert (patch.name, patch.patch) == (meta.name_of(found.update), {"revision": 3})
        assert resolve(wanted, *found.listed).actions == ()


def test_a_rollback_renumbers_the_old_revision() -> None:
    one, two = revision("nginx:1", 1), revision("nginx:2", 2)
    found = resolve("nginx:1", one, two)
    (patch,) = found.actions
    assert isinstance(patch, Patch)
    assert (patch.name, patch.patch, patch.uid) == (meta.name_of(one), {"revision": 3}, "r1")
    assert found.update["revision"] == 3
    assert found.listed[-1] is found.update


def test_a_taken_name_counts_a_collision_and_the_same_data_is_used() -> None:
    wanted = revision("nginx:1", 1)
    stranger = {**revision("other", 1), "metadata": {**wanted["metadata"], "uid": "x"}}
    found = resolve("nginx:1", others=(stranger,))
    assert found.collision_count == 1
    assert meta.name_of(found.update) != meta.name_of(wanted)
    (create,) = found.actions
    assert create.obj is found.update
    found = resolve("nginx:1", others=(wanted,))
    assert (found.collision_count, found.actions) == (0, ())
    assert found.update is wanted


@given(st.lists(st.booleans(), max_size=8), st.one_of(st.none(), st.integers(-1, 5)))
def test_only_the_oldest_dead_revisions_beyond_the_limit_go(
    alive: list[bool], limit: int | None
) -> None:
    listed = [revision(f"i{n}", n) for n in range(len(alive))]
    live = {meta.name_of(r) for r, keep in zip(listed, alive, strict=True) if keep}
    actions = revisions.truncate(listed, live, limit)
    gone = [a.name for a in actions if isinstance(a, Delete)]
    dead = [meta.name_of(r) for r in listed if meta.name_of(r) not in live]
    if limit is None or limit < 0:
        assert gone == []
    else:
        assert gone == dead[: max(0, len(dead) - limit)]
