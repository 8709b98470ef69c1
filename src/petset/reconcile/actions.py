"""What a plan is made of: one closed union of actions for every controller.

Invariant: values only, comparable and hashable by identity of content. If an action needs special
handling, a new action type is added, never a flag.
"""

from dataclasses import dataclass, field
from typing import Literal

from petset.api.meta import Obj, name_of, namespace_of, uid_of

NAME = "\x00name"
"""In the message of `Reported.success`: the name that the server gave (generateName)."""

FAILURE = "\x00failure"
"""In the texts of `Plan.status_if_failed`: the words of the failure."""


@dataclass(frozen=True, slots=True)
class Create:
    """Create `obj` of `resource` (`pods`, `statefulsets.apps`). An existing one is an error."""

    resource: str
    obj: Obj


@dataclass(frozen=True, slots=True)
class Update:
    """Replace an object by `obj`, guarded by the resourceVersion that `obj` carries."""

    resource: str
    obj: Obj
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Patch:
    """Merge-patch (RFC 7386) an object; `uid` and `resource_version` guard it when given."""

    resource: str
    namespace: str
    name: str
    patch: Obj
    subresource: str = ""
    uid: str = ""
    resource_version: str = ""


def status_patch(resource: str, obj: Obj, fields: Obj) -> Patch:
    """Merge `fields` into the status of `obj`, guarded by its uid."""
    return Patch(
        resource,
        namespace_of(obj),
        name_of(obj),
        {"status": fields},
        subresource="status",
        uid=uid_of(obj),
    )


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete an object, if its uid is still `uid`. `grace_s` None means the object's own."""

    resource: str
    namespace: str
    name: str
    uid: str = ""
    grace_s: int | None = None
    resource_version: str = ""
    propagation: str = ""


@dataclass(frozen=True, slots=True)
class Bind:
    """Bind a pod to a node."""

    namespace: str
    name: str
    node: str
    uid: str = ""


@dataclass(frozen=True, slots=True)
class Emit:
    """Record an event on `involved` (an object, or a mapping that has its reference fields)."""

    involved: Obj
    kind: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Sequence:
    """Actions done one after the other; the first failure ends the sequence."""

    actions: "tuple[Action, ...]"


@dataclass(frozen=True, slots=True)
class Parallel:
    """Actions done at the same time, in slow-start batches (1, 2, 4, ... up to 500)."""

    actions: "tuple[Action, ...]"


@dataclass(frozen=True, slots=True)
class External:
    """Something done outside the API by the function that the controller keeps under `name`.

    It has to be idempotent: after a crash it is done again.
    """

    name: str
    argument: str


@dataclass(frozen=True, slots=True)
class Reported:
    """One write, or outside effect, with the events that tell of its end.

    Attributes:
        success: recorded when the write went through; `NAME` stands for the name in the answer.
        failure: recorded when it failed; the error's text is added to its message.
        quiet: reasons of errors that are not recorded (`AlreadyExists`).
    """

    action: Create | Update | Patch | Delete | External
    success: Emit | None = None
    failure: Emit | None = None
    quiet: tuple[str, ...] = ()


Action = Create | Update | Patch | Delete | Bind | Emit | Sequence | Parallel | Reported | External


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, the status to write afterwards, and when to look again at the latest.

    Attributes:
        actions: done in order; the first failure or conflict stops them.
        status: written last, also when an action failed (status tells what was reached).
        status_if_failed: written in place of `status` when an action failed (None: nothing is),
            where `status` counts what the actions were to reach. `FAILURE` in its texts stands for
            the words of the failure.
        requeue_after_s: look at the object again after so many seconds, if not None.
    """

    actions: tuple[Action, ...] = ()
    status: Patch | Update | None = None
    requeue_after_s: float | None = field(default=None)
    status_if_failed: Patch | Update | Literal["status"] | None = "status"
