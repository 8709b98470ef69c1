"""The namespace planner: empties what is going before it lets it go, furnishes the others."""

from hypothesis import given
from hypothesis import strategies as st

from petset.api import meta
from petset.api.meta import Obj
from petset.controllers.namespace.plan import Observed, plan
from petset.reconcile.actions import Delete, Plan, Update
from tests.property.world import World, flatten

KINDS = ["pods", "configmaps", "secrets"]
NOW = 1_700_000_000.0


class Place(World):
    """One namespace and what is in it."""

    def __init__(self, *, going: bool) -> None:
        super().__init__()
        metadata = dict[str, object](name="team")
        if going:
            metadata["deletionTimestamp"] = meta.format_time(NOW)
        spec = {"finalizers": ["kubernetes"]}
        # a finalizer of the world's own stands for the one in spec
        metadata["finalizers"] = ["spec"]
        self.put("namespaces", {"metadata": metadata, "spec": spec})

    def observe(self) -> Observed | None:
        namespace = self.get("namespaces", "team", "")
        if namespace is None:
            return None
        content = dict[str, list[Obj]]()
        for kind in KINDS:
            if found := [o for o in self.list(kind) if meta.namespace_of(o) == "team"]:
                content[kind] = list(found)
        return Observed(
            namespace,
            self.get("serviceaccounts", "default", "team"),
            self.get("configmaps", "kube-root-ca.crt", "team"),
            "CA",
            content if meta.is_deleting(namespace) else {},
        )


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.booleans()), max_size=12))
def test_a_going_namespace_is_finalized_only_when_empty(things: list[tuple[str, bool]]) -> None:
    place = Place(going=True)
    for number, (kind, held) in enumerate(things):
        metadata = dict[str, object](name=f"o{number}", namespace="team")
        if held:
            metadata["finalizers"] = ["example.com/hold"]
        place.put(kind, {"metadata": metadata})
    for _ in range(6):
        seen = place.observe()
        assert seen is not None
        made = plan(seen, NOW)
        finalizing = [a for a in flatten(made.actions) if isinstance(a, Update)]
        assert bool(finalizing) == (not seen.content)
        if finalizing:
            break
        deleted = {a.name for a in flatten(made.actions) if isinstance(a, Delete)}
        alive = {
            meta.name_of(o)
            for found in seen.content.values()
            for o in found
            if not meta.is_deleting(o)
        }
        assert deleted == alive
        place.execute(made)
        if not deleted:  # everything is asked to go; now the holders let go
            assert made.requeue_after_s is not None
            for kind in KINDS:
                for obj in place.list(kind):
                    place.change(
                        kind, meta.name_of(obj), {"metadata": {"finalizers": None}}, "team"
                    )
                    place.remove(kind, meta.name_of(obj), "team")
    else:
        raise AssertionError("never finalized")


def test_what_remains_is_told_once() -> None:
    place = Place(going=True)
    held = {"name": "o", "namespace": "team", "finalizers": ["example.com/hold"]}
    place.put("secrets", {"metadata": {**held, "deletionTimestamp": meta.format_time(NOW)}})
    for writes in (1, 1):
        seen = place.observe()
        assert seen is not None
        place.execute(plan(seen, NOW))
        assert len(place.writes) == writes
    found = place.get("namespaces", "team", "")
    condition = meta.condition_of(found or {}, "NamespaceFinalizersRemaining")
    assert condition is not None
    assert condition["message"].endswith("example.com/hold in 1 resource instances")


@given(st.booleans(), st.sampled_from(["missing", "wrong", "right"]))
def test_a_living_namespace_is_furnished_once(account: bool, certificate: str) -> None:
    place = Place(going=False)
    if account:
        place.put("serviceaccounts", {"metadata": {"name": "default", "namespace": "team"}})
    if certificate != "missing":
        data = {"ca.crt": "CA" if certificate == "right" else "other"}
        name = {"name": "kube-root-ca.crt", "namespace": "team"}
        place.put("configmaps", {"metadata": name, "data": data})
    seen = place.observe()
    assert seen is not None
    place.execute(plan(seen, NOW))
    again = place.observe()
    assert again is not None
    assert plan(again, NOW) == Plan()
    assert again.account is not None
    assert (again.config_map or {})["data"] == {"ca.crt": "CA"}
    assert not any(w.startswith("delete") for w in place.writes)
