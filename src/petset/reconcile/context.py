"""What every controller is given: caches, client, time, ids, events, metrics and settings."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from petset.api.meta import Obj
from petset.base.clock import Clock
from petset.base.ids import Ids
from petset.client.client import Client
from petset.client.reflector import Informers
from petset.reconcile.metrics import Metrics


class Recorder(Protocol):
    """Records events of one component (`client.events.Recorder`)."""

    async def record(self, involved: Obj, kind: str, reason: str, message: str) -> None:
        """Record an event on `involved`; never fails its caller."""
        ...


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of the controllers; times in seconds.

    Attributes:
        volumes_root: directory below which directory volumes are made, "" for none.
        ca_text: the cluster's CA certificate (PEM), given to every namespace.
        node_grace_s: age of a node's lease after which the node counts as lost.
        node_startup_grace_s: the same for a node that has never reported.
        orphan_quarantine_s: how long a node has to be gone before its pods are removed.
        terminated_pods_kept: finished pods beyond this number are removed, oldest first.
    """

    volumes_root: str = ""
    ca_text: str = ""
    node_grace_s: float = 40.0
    node_startup_grace_s: float = 60.0
    orphan_quarantine_s: float = 40.0
    terminated_pods_kept: int = 12_500


@dataclass(frozen=True, slots=True)
class Context:
    """Handed to the factory of every controller.

    Attributes:
        recorder: makes the event recorder of a component (`statefulset-controller`).
    """

    informers: Informers
    client: Client
    clock: Clock
    ids: Ids
    recorder: Callable[[str], Recorder]
    config: Config = field(default_factory=Config)
    metrics: Metrics = field(default_factory=Metrics)
