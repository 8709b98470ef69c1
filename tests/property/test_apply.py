"""Server-side apply and ownership against a naive model.

The model knows nothing of trees: an object is a flat dict from leaf paths to values, in which an
element of a keyed list or set is a leaf of its own, and every manager owns a set of such paths.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from petset.api.errors import StatusError
from petset.api.patch import apply, managed
from petset.api.patch.apply import Order
from petset.api.patch.managed import Forms, Writer

POD = Forms("v1", "io.k8s.api.core.v1.Pod")
Path = tuple[str, ...]
THERE = "(there)"

# -- objects --------------------------------------------------------------------------------------

VALUES = st.sampled_from(["1", "2", "3"])


def elements(key: str, names: Any, **fields: Any) -> Any:
    """Keyed elements with different names, each with some of the fields."""
    one = st.fixed_dictionaries({key: names}, optional=fields)
    return st.lists(one, max_size=3, unique_by=lambda e: e[key])


PORT = st.fixed_dictionaries(
    {"containerPort": st.sampled_from([80, 443])},
    optional={"protocol": st.sampled_from(["TCP", "UDP"]), "name": VALUES},
)
PORTS = st.lists(
    PORT, max_size=3, unique_by=lambda p: (p["containerPort"], p.get("protocol", "TCP"))
)
CONTAINERS = elements(
    "name",
    st.sampled_from("abc"),
    image=VALUES,
    args=st.lists(VALUES, min_size=1, max_size=2),
    env=elements("name", st.sampled_from("XY"), value=VALUES),
    ports=PORTS,
)
META = st.fixed_dictionaries(
    {},
    optional={
        "labels": st.dictionaries(st.sampled_from("lmn"), VALUES, max_size=3),
        "finalizers": st.lists(st.sampled_from(["f/f", "g/g"]), unique=True, max_size=2),
    },
)
SPEC = st.fixed_dictionaries(
    {},
    optional={
        "containers": CONTAINERS,
        "nodeSelector": st.dictionaries(st.sampled_from("st"), VALUES, min_size=1, max_size=2),
        "securityContext": st.fixed_dictionaries(
            {}, optional={"runAsUser": st.integers(1, 3), "runAsGroup": st.integers(1, 3)}
        ),
    },
)


@st.composite
def pods(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": "p", **draw(META)},
        "spec": draw(SPEC),
    }


ATOMS = {"args", "nodeSelector"}
SETS = {"finalizers"}


def flat(value: Any, path: Path = ()) -> dict[Path, str]:
    """The leaves of an object. Empty maps and lists are none, but for atomic ones."""
    last = path[-1] if path else ""
    if last in ATOMS or not isinstance(value, Mapping | list):
        return {path: orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()}
    found: dict[Path, str] = {}
    if isinstance(value, Mapping):
        for key, item in value.items():
            found |= flat(item, (*path, key))
        return found
    for element in value:
        here = (*path, identity(last, element))
        found[here] = THERE
        if last not in SETS:
            found |= flat(element, here)
    return found


def identity(where: str, element: Any) -> str:
    if where in SETS:
        return str(element)
    if where == "ports":
        return f"{element['containerPort']}/{element.get('protocol', 'TCP')}"
    return str(element["name"])


IGNORED = {("kind",), ("apiVersion",), ("metadata", "name")}


def leaves(obj: Any) -> dict[Path, str]:
    return {path: value for path, value in flat(obj).items() if path not in IGNORED}


# -- the model ------------------------------------------------------------------------------------


def below(path: Path, roots: set[Path]) -> bool:
    return any(path[: len(root)] == root for root in roots)


@dataclass
class Model:
    """What is there, and who owns what, by (manager, operation)."""

    live: dict[Path, str]
    owners: dict[tuple[str, str], set[Path]] = field(default_factory=dict)

    def others(self, me: tuple[str, str], path: Path) -> list[tuple[str, str]]:
        return [key for key, paths in self.owners.items() if key != me and path in paths]

    def move_to(self, new: dict[Path, str], me: tuple[str, str]) -> set[Path]:
        """Take the new state; everybody else loses what is different. Answers with that."""
        changed = {p for p, v in new.items() if self.live.get(p) != v}
        gone = {p for p in self.live if p not in new}
        for key, paths in self.owners.items():
            if key != me:
                paths -= changed | gone
        self.live = new
        return changed

    def update(self, manager: str, new: dict[Path, str]) -> None:
        me = (manager, "Update")
        mine = self.owners.setdefault(me, set())
        changed = self.move_to(new, me)
        mine |= changed
        mine &= set(new)

    def apply(self, manager: str, config: dict[Path, str], *, force: bool) -> set[Path] | None:
        """The conflicts, or None if it was applied."""
        me = (manager, "Apply")
        conflicts = {p for p, v in config.items() if self.live.get(p) != v and self.others(me, p)}
        if conflicts and not force:
            return conflicts
        given_up = self.owners.get(me, set()) - set(config)
        roots = {p for p in given_up if not self.others(me, p)}
        new = {p: v for p, v in (self.live | config).items() if not below(p, roots)}
        self.move_to(new, me)
        self.owners[me] = set(config)
        return None


# -- the real thing -------------------------------------------------------------------------------


@dataclass
class Real:
    obj: dict[str, Any]
    entries: Any

    def update(self, manager: str, new: Any) -> None:
        by = Writer(manager, managed.UPDATE, "v1")
        self.entries = managed.track(POD, (self.obj, new), self.entries, by, "now")
        self.obj = new

    def apply(self, manager: str, config: Any, *, force: bool) -> bool:
        order = Order(Writer(manager, managed.APPLY, "v1"), force, "now")
        wanted = apply.configuration(POD.schema, config)
        try:
            made = apply.apply(POD, self.obj, wanted, self.entries, order)
        except StatusError as error:
            if error.code != 409:
                raise
            return False
        self.obj, self.entries = made
        return True

    def owners(self) -> dict[tuple[str, str], set[Path]]:
        found = {}
        for entry in self.entries:
            paths = {p for p in members(entry["fieldsV1"]) if p in leaves(self.obj)}
            found[entry["manager"], entry["operation"]] = paths
        return found


def members(node: Any, path: Path = ()) -> set[Path]:
    """The paths of a FieldsV1, as the model writes them."""
    found = {path} if path and (not node or "." in node) else set()
    for name, child in node.items():
        if name == ".":
            continue
        kind, _, text = name.partition(":")
        if kind == "k":
            keys = orjson.loads(text)
            text = keys.get("name") or f"{keys['containerPort']}/{keys['protocol']}"
        elif kind == "v":
            text = orjson.loads(text)
        found |= members(child, (*path, text))
    return found


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["update", "apply", "apply", "force"]),
        st.sampled_from(["one", "two", "three"]),
        pods(),
    ),
    min_size=1,
    max_size=7,
)


def start(first: str, obj: Any) -> tuple[Model, Real]:
    by = Writer(first, managed.UPDATE, "v1")
    entries = managed.take((), by, managed.of_new(POD, obj), "now")
    model = Model({})
    model.update(first, leaves(obj))
    return model, Real(obj, entries)


@settings(max_examples=250, deadline=None)
@given(pods(), STEPS)
def test_objects_and_owners_are_those_of_the_model(first: Any, steps: Any) -> None:
    first["metadata"]["labels"] = {"seed": "1"}
    model, real = start("seeder", first)
    for kind, manager, obj in steps:
        if kind == "update":
            obj = {**obj, "metadata": {**obj["metadata"], "labels": {"seed": "1"}}}
            model.update(manager, leaves(obj))
            real.update(manager, obj)
        else:
            force = kind == "force"
            conflicts = model.apply(manager, leaves(obj), force=force)
            assert real.apply(manager, obj, force=force) is (conflicts is None)
        assert leaves(real.obj) == model.live
        expected = {key: paths for key, paths in model.owners.items() if paths}
        assert {key: paths for key, paths in real.owners().items() if paths} == expected


@settings(max_examples=150, deadline=None)
@given(pods(), pods())
def test_a_forced_apply_is_there_and_twice_is_once(live: Any, config: Any) -> None:
    live["metadata"]["labels"] = {"seed": "1"}
    _, real = start("seeder", live)
    assert real.apply("me", config, force=True)
    for path, value in leaves(config).items():
        assert leaves(real.obj)[path] == value
    before = (real.obj, real.entries)
    assert real.apply("me", config, force=False)
    assert (real.obj, real.entries) == before


@settings(max_examples=150, deadline=None)
@given(pods(), pods())
def test_giving_everything_up_takes_it_all_back(live: Any, config: Any) -> None:
    live["metadata"]["labels"] = {"seed": "1"}
    _, real = start("seeder", live)
    before = leaves(real.obj)
    if not real.apply("me", config, force=False):
        return
    nothing = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p"}}
    assert real.apply("me", nothing, force=False)
    assert leaves(real.obj) == before
    assert ("me", "Apply") not in real.owners()
