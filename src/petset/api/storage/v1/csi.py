"""CSIDriver, CSINode and CSIStorageCapacity: objects that petset keeps and does not act on."""

from collections.abc import Sequence
from typing import Any

from petset.api import deprecated, names, selectors
from petset.api.check import (
    Faults,
    child,
    drop,
    fill,
    items,
    member,
    non_negative,
    one_of,
    semantically,
    unchanged,
    worded,
)
from petset.api.core.v1.remotevolume import driver_name_faults
from petset.api.core.v1.resources import canonical, quantity_faults
from petset.api.errors import FieldError, duplicate, invalid, not_supported, required
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, name_of
from petset.api.table import AGE, NAME, age_of

MODES = ("Persistent", "Ephemeral")
GROUP_POLICIES = ("File", "None", "ReadWriteOnceWithFSType")
NODE_ID_MAX = 256
UPDATE_PERIOD_MIN_S = 10
TOKEN_MIN_S, TOKEN_MAX_S = 600, 1 << 32
_IMMUTABLE = "field is immutable"


def default_driver(driver: MutableObj) -> None:
    """Attach, no pod info, no capacity; volumes outlive pods."""
    spec = member(driver, "spec")
    for key, value in (
        ("attachRequired", True),
        ("podInfoOnMount", False),
        ("storageCapacity", False),
        ("fsGroupPolicy", "ReadWriteOnceWithFSType"),
        ("requiresRepublish", False),
        ("seLinuxMount", False),
    ):
        fill(spec, key, value)
    if not spec.get("volumeLifecycleModes"):
        spec["volumeLifecycleModes"] = ["Persistent"]


def validate_driver(driver: Obj) -> list[FieldError]:
    """Every fault of a CSIDriver."""
    return list(_driver_faults(child(driver, "spec")))


def _driver_faults(spec: Obj) -> Faults:
    spelled = {"attachRequired": "attachedRequired"}
    for key in ("attachRequired", "podInfoOnMount", "storageCapacity"):
        if spec.get(key) is None:
            yield required(f"spec.{spelled.get(key, key)}")
    yield from one_of("spec.fsGroupPolicy", spec.get("fsGroupPolicy"), GROUP_POLICIES)
    yield from _token_faults(items(spec, "tokenRequests"))
    for mode in items(spec, "volumeLifecycleModes"):
        if mode not in MODES:
            yield not_supported("spec.volumeLifecycleModes", mode, MODES)
    if spec.get("seLinuxMount") is None:
        yield required("spec.seLinuxMount")
    period, path = (
        spec.get("nodeAllocatableUpdatePeriodSeconds"),
        "nodeAllocatableUpdatePeriodSeconds",
    )
    if period is not None and period < UPDATE_PERIOD_MIN_S:
        yield invalid(f"spec.{path}", period, "must be greater than or equal to 10 seconds")


def _token_faults(requests: Sequence[Any]) -> Faults:
    seen = set()
    for i, request in enumerate(requests):
        path, audience = f"spec.tokenRequests[{i}]", request.get("audience") or ""
        if audience in seen:
            yield duplicate(f"{path}.audience", audience)
            continue
        seen.add(audience)
        seconds = request.get("expirationSeconds")
        if seconds is None:
            continue
        where = f"{path}.expirationSeconds"
        if seconds < TOKEN_MIN_S:
            yield invalid(where, seconds, "may not specify a duration less than 10 minutes")
        if seconds > TOKEN_MAX_S:
            yield invalid(where, seconds, "may not specify a duration larger than 2^32 seconds")


def validate_driver_update(new: Obj, old: Obj) -> list[FieldError]:
    """Whether volumes are attached, and how long they live, stays."""
    after, before = child(new, "spec"), child(old, "spec")
    found: list[FieldError] = []
    for key, path in (
        ("attachRequired", "attachedRequired"),
        ("volumeLifecycleModes", "volumeLifecycleModes"),
    ):
        if after.get(key) != before.get(key):
            found.append(invalid(f"spec.{path}", after.get(key), _IMMUTABLE))
    return found


def _driver_cells(driver: Obj, now: float) -> list[Any]:
    spec = child(driver, "spec")
    audiences = [str(r.get("audience") or "") for r in items(spec, "tokenRequests")]
    return [
        name_of(driver),
        spec.get("attachRequired", True),
        bool(spec.get("podInfoOnMount")),
        bool(spec.get("storageCapacity")),
        ",".join(audiences) or "<unset>",
        bool(spec.get("requiresRepublish")),
        ",".join(items(spec, "volumeLifecycleModes")) or "<none>",
        age_of(driver, now),
    ]


def validate_node(node: Obj) -> list[FieldError]:
    """Every fault of a CSINode."""
    return list(_node_faults(items(child(node, "spec"), "drivers")))


def _node_faults(drivers: Sequence[Any]) -> Faults:
    seen = set()
    for i, driver in enumerate(drivers):
        path, name = f"spec.drivers[{i}]", driver.get("name") or ""
        yield from driver_name_faults(f"{path}.name", name)
        node_id = str(driver.get("nodeID") or "")
        if not node_id:
            yield required(f"{path}.nodeID")
        if len(node_id) > NODE_ID_MAX:
            words = f"must be {NODE_ID_MAX} characters or less"
            yield invalid(f"{path}.nodeID", node_id, words)
        count = child(driver, "allocatable").get("count")
        yield from non_negative(f"{path}.allocatable.count", count)
        if name in seen:
            yield duplicate(f"{path}.name", name)
        seen.add(name)
        yield from _topology_keys_faults(path, items(driver, "topologyKeys"))


def _topology_keys_faults(path: str, keys: Sequence[Any]) -> Faults:
    for i, key in enumerate(keys):
        if not key:
            yield required(path)
        if key in keys[:i]:
            yield duplicate(path, key)
        yield from worded(path, key, names.qualified_name(str(key)))


def validate_node_update(new: Obj, old: Obj) -> list[FieldError]:
    """What a driver said of itself stays, but for how many volumes it takes."""
    before = {d.get("name"): d for d in items(child(old, "spec"), "drivers")}
    return [
        invalid("spec.drivers", driver, _IMMUTABLE)
        for driver in items(child(new, "spec"), "drivers")
        if driver.get("name") in before and _fixed(driver) != _fixed(before[driver.get("name")])
    ]


def _fixed(driver: Obj) -> Any:
    return semantically(drop(driver, "allocatable"))


def _node_cells(node: Obj, now: float) -> list[Any]:
    return [name_of(node), len(items(child(node, "spec"), "drivers")), age_of(node, now)]


def default_capacity(capacity: MutableObj) -> None:
    """Canonical amounts."""
    for key in ("capacity", "maximumVolumeSize"):
        if capacity.get(key) is not None:
            capacity[key] = canonical(capacity[key])


def validate_capacity(capacity: Obj) -> list[FieldError]:
    """Every fault of a CSIStorageCapacity."""
    name, topology = str(capacity.get("storageClassName") or ""), capacity.get("nodeTopology")
    faults = selectors.validate(topology, "nodeTopology") if topology is not None else []
    faults += worded("storageClassName", name, names.dns_subdomain(name))
    if capacity.get("capacity") is not None:
        faults += quantity_faults("capacity", capacity["capacity"])
    return faults


def validate_capacity_update(new: Obj, old: Obj) -> list[FieldError]:
    """What the capacity is of stays."""
    faults: list[FieldError] = []
    if semantically(new.get("nodeTopology")) != semantically(old.get("nodeTopology")):
        faults.append(invalid("nodeTopology", new.get("nodeTopology"), _IMMUTABLE))
    key = "storageClassName"
    return [*faults, *unchanged(key, new.get(key), old.get(key))]


def capacity_warnings(capacity: Obj) -> list[str]:
    """Labels of nodes that have new names."""
    topology = child(capacity, "nodeTopology")
    return list(deprecated.label_selector("nodeTopology", topology))


def _capacity_cells(capacity: Obj, now: float) -> list[Any]:
    del now
    amount = capacity.get("capacity")
    shown = "<unset>" if amount is None else amount
    return [name_of(capacity), capacity.get("storageClassName") or "", shown]


DRIVER = Behaviour(
    default=default_driver,
    validate=validate_driver,
    validate_update=validate_driver_update,
    table=Table(
        (
            NAME,
            Column("AttachRequired", type="boolean"),
            Column("PodInfoOnMount", type="boolean"),
            Column("StorageCapacity", type="boolean"),
            Column("TokenRequests"),
            Column("RequiresRepublish", type="boolean"),
            Column("Modes"),
            AGE,
        ),
        _driver_cells,
    ),
    generation=True,
    unconditional_update=False,
)

NODE = Behaviour(
    validate=validate_node,
    validate_update=validate_node_update,
    table=Table((NAME, Column("Drivers", type="integer"), AGE), _node_cells),
    unconditional_update=False,
)

CAPACITY = Behaviour(
    default=default_capacity,
    validate=validate_capacity,
    validate_update=validate_capacity_update,
    warnings=capacity_warnings,
    table=Table((NAME, Column("StorageClassName"), Column("Capacity")), _capacity_cells),
    unconditional_update=False,
)
