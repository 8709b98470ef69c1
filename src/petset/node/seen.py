"""What the agent sees of one pod: the input of `plan` and `status`. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from petset.api.meta import Obj
from petset.node.runtime.base import Run, Sandbox


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why something did not come to be, and when it is tried again (seconds since the epoch).

    From `then_at` on it is told in the words `then`: ErrImagePull becomes ImagePullBackOff.
    """

    reason: str
    message: str
    retry_at: float
    then: tuple[str, str] = ("", "")
    then_at: float = 0.0

    def shown(self, now: float) -> tuple[str, str]:
        """(reason, message) as told at `now`."""
        if self.then_at and now >= self.then_at:
            return self.then
        return self.reason, self.message


@dataclass(frozen=True, slots=True)
class Probed:
    """What the probes of a running container say.

    `failed` is the message of a failed liveness or startup probe: the container must go.
    """

    started: bool = False
    ready: bool = False
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The node has ended the pod by its own judgement: phase Failed, and why."""

    reason: str
    message: str


SHUT_DOWN = Verdict("Terminated", "Pod was terminated in response to imminent node shutdown.")
"""The end of a pod whose node is being stopped with grace."""


@dataclass(frozen=True, slots=True)
class ContainerSeen:
    """One container: its last two runs (older first), and what holds up the next one.

    Attributes:
        waiting: why the last try to start it failed.
        uncleaned: ids of ended runs of which something is still on the machine.
        stale: ids of runs that nothing needs any more.
    """

    runs: tuple[Run, ...] = ()
    waiting: Waiting | None = None
    probed: Probed = Probed()
    uncleaned: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()
    termination_message: str = ""
    last_termination_message: str = ""

    @property
    def run(self) -> Run | None:
        """The newest run."""
        return self.runs[-1] if self.runs else None

    @property
    def previous(self) -> Run | None:
        """The run before the newest."""
        return self.runs[-2] if len(self.runs) > 1 else None

    @property
    def is_running(self) -> bool:
        """Whether a process of it may live."""
        return self.run is not None and self.run.state != "exited"


VolumesState = Literal["none", "mounted"]


@dataclass(frozen=True, slots=True)
class PodSeen:
    """One pod as the agent sees it.

    Attributes:
        pod: the newest object known; the last one when it is gone from the API.
        exists: whether the API still has this pod (by uid).
        sandbox: the sandbox, if it stands.
        waiting: why sandbox or volumes could not be made.
        busy: operations in flight: sandbox, volumes, start, stop:<name>, clean:<id>, end.
        verdict: set when the node has ended the pod.
        unsupported: what of the pod petset cannot do, named; nothing is started then.
        confirmed: whether the API was told that nothing of the pod is left.
        start_time: when this node took the pod, seconds since the epoch.
        rest_s: set when the cluster stops: the seconds that containers have at most to end.
    """

    pod: Obj
    exists: bool = True
    sandbox: Sandbox | None = None
    volumes: VolumesState = "none"
    waiting: Mapping[str, Waiting] = field(default_factory=dict)
    containers: Mapping[str, ContainerSeen] = field(default_factory=dict)
    busy: frozenset[str] = frozenset()
    verdict: Verdict | None = None
    unsupported: str = ""
    start_time: float = 0.0
    confirmed: bool = False
    rest_s: int | None = None

    def of(self, name: str) -> ContainerSeen:
        """What is seen of container `name`."""
        return self.containers.get(name, NOTHING_SEEN)

    def is_current(self, run: Run) -> bool:
        """Whether `run` was in the sandbox that stands, or none stands."""
        return self.sandbox is None or run.sandbox == self.sandbox.id


NOTHING_SEEN = ContainerSeen()
