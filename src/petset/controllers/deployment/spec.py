"""The spec of a Deployment with its defaults, as the other parts read it. Pure."""

from dataclasses import dataclass
from typing import Any

from petset.api import meta, selectors
from petset.api.check import number_of
from petset.api.meta import MutableObj, Obj
from petset.api.selectors import LabelSelector

RESOURCE = "deployments.apps"
API_VERSION = "apps/v1"
KIND = "Deployment"
UNLIMITED = 2**31 - 1
"""As a deadline or a history limit: none."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What a deployment asks for.

    Attributes:
        rolling: RollingUpdate (False: Recreate).
        max_surge: pods that there may be too many of, resolved; 0 unless rolling.
        max_unavailable: pods that may be missing, resolved; 0 unless rolling.
        history_limit: how many old sets are kept; None: all.
        deadline_s: how long a roll-out may go without progress; None: for ever.
    """

    obj: Obj
    name: str
    namespace: str
    generation: int
    replicas: int
    rolling: bool
    max_surge: int
    max_unavailable: int
    paused: bool
    min_ready_s: int
    history_limit: int | None
    deadline_s: int | None
    template: Obj
    selector: LabelSelector

    @property
    def status(self) -> Obj:
        """The status as it was read."""
        return self.obj.get("status") or {}

    @property
    def min_available(self) -> int:
        """How many pods a roll-out leaves available."""
        return self.replicas - self.max_unavailable

    @property
    def size_max(self) -> int:
        """How many pods there may be in all."""
        return self.replicas + self.max_surge

    @property
    def reference(self) -> MutableObj:
        """A controller reference to the deployment."""
        return meta.owner_reference(self.obj, api_version=API_VERSION, kind=KIND)

    @property
    def involved(self) -> MutableObj:
        """The deployment as events name it."""
        return meta.reference_to({**self.obj, "apiVersion": API_VERSION, "kind": KIND})

    def matches(self, obj: Obj) -> bool:
        """Whether the selector picks the object."""
        return self.selector.matches(meta.labels_of(obj))


def read(obj: Obj) -> Spec:
    """The spec of a deployment, defaults filled in where the server has not done it."""
    spec = obj.get("spec") or {}
    strategy = spec.get("strategy") or {}
    rolling = is_rolling(obj)
    replicas = _number(spec.get("replicas"), 1)
    surge, unavailable = _room(strategy.get("rollingUpdate") or {}, replicas) if rolling else (0, 0)
    return Spec(
        obj=obj,
        name=meta.name_of(obj),
        namespace=meta.namespace_of(obj),
        generation=_number((obj.get("metadata") or {}).get("generation"), 0),
        replicas=replicas,
        rolling=rolling,
        max_surge=surge,
        max_unavailable=min(unavailable, replicas),
        paused=bool(spec.get("paused")),
        min_ready_s=_number(spec.get("minReadySeconds"), 0),
        history_limit=_limit(spec.get("revisionHistoryLimit"), 10),
        deadline_s=_limit(spec.get("progressDeadlineSeconds"), 600),
        template=spec.get("template") or {},
        selector=selectors.from_object(spec.get("selector")),
    )


def is_rolling(obj: Obj) -> bool:
    """Whether old and new pods may run beside each other (not so: Recreate)."""
    return ((obj.get("spec") or {}).get("strategy") or {}).get("type") != "Recreate"


def _room(rolling: Obj, replicas: int) -> tuple[int, int]:
    """maxSurge rounds up, maxUnavailable down; where both come to nothing, one pod may miss."""
    surge = _share(rolling.get("maxSurge", "25%"), replicas, up=True)
    unavailable = _share(rolling.get("maxUnavailable", "25%"), replicas, up=False)
    return surge, unavailable if surge or unavailable else 1


def _share(value: int | str, replicas: int, *, up: bool) -> int:
    if not isinstance(value, str):
        return value
    if not value.endswith("%"):
        return int(value)
    hundredfold = replicas * number_of(value[:-1])
    return -(-hundredfold // 100) if up else hundredfold // 100


def _limit(value: Any, default: int) -> int | None:
    number = _number(value, default)
    return None if number == UNLIMITED else number


def _number(value: Any, default: int) -> int:
    return default if value is None else int(value)
