"""What the agent needs of volumes: values and the protocol."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from petset.api.meta import Obj


class VolumeFailedError(Exception):
    """A volume cannot be mounted now; the message is fit for a FailedMount event."""


@dataclass(frozen=True, slots=True)
class Mounted:
    """A volume that is there: its path on the machine, and whether it may not be written."""

    path: str
    read_only: bool = False


Fetch = Callable[[str, str, str], Awaitable[Obj | None]]
"""(resource, namespace, name) -> the object as the API has it now, None when there is none."""


class Volumes(Protocol):
    """The volumes of one node's pods. Mounted ones survive the agent."""

    async def mount(self, pod: Obj) -> Mapping[str, Mounted]:
        """Make and mount every volume of `pod`, by name. Raises VolumeFailedError."""
        ...

    def mounted(self, pod: Obj) -> Mapping[str, Mounted] | None:
        """The pod's volumes if `mount` was done for it, by this agent or an earlier one."""
        ...

    async def refresh(self, pod: Obj) -> None:
        """Bring the content of ConfigMap, Secret and downwardAPI volumes up to date."""
        ...

    def may_start(self, pod: Obj) -> bool:
        """Whether the pod still owns its volumes; asked before each start of a container."""
        ...

    async def unmount(self, uid: str) -> None:
        """Unmount the pod's volumes and remove those that end with it. Missing is fine."""
        ...
