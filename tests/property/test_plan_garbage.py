"""The garbage planner in a small world: only what has no owner left goes, and it all goes."""

from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from petset.api import meta
from petset.api.meta import MutableObj, Obj
from petset.controllers.garbage.plan import (
    FOREGROUND,
    ORPHAN,
    Dependent,
    Observed,
    Owner,
    finalizers_of,
    plan,
)
from petset.reconcile.actions import Plan
from tests.property.world import RefusedError, World

MAPS = "configmaps"


class Heap(World):
    """Config maps that own each other."""

    def make(self, number: int, owners: Sequence[int]) -> None:
        name = f"m{number}"
        if self.get(MAPS, name) is not None:
            return
        references = []
        for owner in owners:
            found = self.get(MAPS, f"m{owner}")
            uid = "never-was" if found is None else meta.uid_of(found)
            reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": f"m{owner}", "uid": uid}
            references.append({**reference, "blockOwnerDeletion": owner % 2 == 0})
        metadata: MutableObj = {"name": name, "namespace": "default"}
        if references:
            metadata["ownerReferences"] = references
        self.put(MAPS, {"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata})

    def leave(self, number: int, propagation: str) -> None:
        """Delete as the server does."""
        found = self.get(MAPS, f"m{number}")
        if found is None or meta.is_deleting(found):
            return
        finalizers = {"Orphan": [ORPHAN], "Foreground": [FOREGROUND]}.get(propagation, [])
        marked = {**found, "metadata": {**found["metadata"], "finalizers": finalizers}}
        self.delete(MAPS, marked)

    def state(self, reference: Obj) -> Owner:
        found = self.get(MAPS, reference["name"])
        if found is None or meta.uid_of(found) != reference["uid"]:
            return Owner.ABSENT
        waits = meta.is_deleting(found) and FOREGROUND in finalizers_of(found)
        return Owner.WAITING if waits else Owner.SOLID

    def observe(self, obj: Obj) -> Observed:
        uid = meta.uid_of(obj)
        dependents = [
            Dependent(MAPS, o)
            for o in self.list(MAPS)
            if any(r["uid"] == uid for r in meta.owners_of(o))
        ]
        states = tuple(self.state(r) for r in meta.owners_of(obj))
        return Observed(MAPS, obj, states, tuple(dependents))

    def turn(self, cut: int | None = None) -> None:
        for obj in self.list(MAPS):
            current = self.get(MAPS, meta.name_of(obj))
            if current is None:
                continue
            made = plan(self.observe(current))
            before = {meta.uid_of(o): o for o in self.list(MAPS)}
            try:
                self.execute(self.with_propagation(made), cut=cut)
            except RefusedError:
                continue
            self.check(before)

    def with_propagation(self, made: Plan) -> Plan:
        """The world's deletion knows no propagation: mark foreground ones here."""
        for action in made.actions:
            if getattr(action, "propagation", "") == "Foreground":
                self.leave(int(getattr(action, "name", "m0")[1:]), "Foreground")
                return Plan()
        return made

    def check(self, before: dict[str, MutableObj]) -> None:
        """Nothing went that had a living owner, or none to lose."""
        now = {meta.uid_of(o) for o in self.list(MAPS)}
        for uid in before.keys() - now:
            gone = before[uid]
            asked = meta.is_deleting(gone)
            living = [r["uid"] for r in meta.owners_of(gone) if r["uid"] in now]
            waiting = [
                u for u in living if meta.is_deleting(before[u]) and finalizers_of(before[u])
            ]
            assert asked or living == waiting, "an object with a living owner went"
            assert asked or list(meta.owners_of(gone)), "an object without owners went"


Move = tuple[str, int, list[int]]
MOVES: st.SearchStrategy[Move] = st.one_of(
    st.tuples(
        st.just("make"), st.integers(0, 7), st.lists(st.integers(0, 7), max_size=2, unique=True)
    ),
    st.tuples(
        st.sampled_from(["Background", "Foreground", "Orphan"]), st.integers(0, 7), st.just([])
    ),
    st.tuples(st.just("turn"), st.integers(0, 3), st.just([])),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(MOVES, max_size=25))
def test_in_the_end_every_object_has_a_living_owner_or_none_at_all(
    moves: Sequence[Move],
) -> None:
    heap = Heap()
    for kind, number, owners in moves:
        if kind == "make":
            heap.make(number, [o for o in owners if o != number])
        elif kind == "turn":
            heap.turn(number)
        else:
            heap.leave(number, kind)
    for _ in range(40):
        before = heap.revision
        heap.turn()
        if heap.revision == before:
            break
    uids = {meta.uid_of(o) for o in heap.list(MAPS)}
    for obj in heap.list(MAPS):
        assert plan(heap.observe(obj)) == Plan()
        assert all(r["uid"] in uids for r in meta.owners_of(obj))


def observed(*owners: Owner, dependents: Sequence[Obj] = (), **metadata: Any) -> Observed:
    references = [{"uid": f"o{i}", "name": f"o{i}"} for i in range(len(owners))]
    obj = {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": {
            "name": "m",
            "namespace": "default",
            "uid": "u",
            "resourceVersion": "7",
            "ownerReferences": references,
            **metadata,
        },
    }
    return Observed(MAPS, obj, owners, tuple(Dependent(MAPS, d) for d in dependents))


def test_an_owner_that_cannot_be_looked_up_keeps_its_dependents() -> None:
    made = plan(observed(Owner.UNKNOWN))
    assert [getattr(a, "reason", "") for a in made.actions] == ["OwnerRefInvalidNamespace"]


def test_a_deletion_is_guarded_by_uid_and_version() -> None:
    (delete,) = plan(observed(Owner.ABSENT)).actions
    assert (getattr(delete, "uid", ""), getattr(delete, "resource_version", "")) == ("u", "7")


def test_a_dependent_of_a_waiting_owner_takes_its_own_dependents_along_first() -> None:
    child = {"metadata": {"name": "c", "ownerReferences": [{"uid": "u"}]}}
    (delete,) = plan(observed(Owner.WAITING, dependents=[child])).actions
    assert getattr(delete, "propagation", "") == "Foreground"
    (delete,) = plan(observed(Owner.WAITING)).actions
    assert getattr(delete, "propagation", "") == "Background"
