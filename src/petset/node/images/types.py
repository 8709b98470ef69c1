"""What the agent needs of images: the values and the service that provides them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Image:
    """An image that is present and unpacked.

    Attributes:
        id: `sha256:...` of its config.
        ref: the reference it was asked by, normalised (`docker.io/library/nginx:latest`).
        digest: `repo@sha256:...` it came as, "" for images built from a recipe.
        layers: absolute paths of the unpacked layers, base first.
        size: bytes on disk.
        The rest is the image's own configuration: see the OCI image specification.
    """

    id: str
    ref: str
    layers: tuple[str, ...]
    digest: str = ""
    size: int = 0
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""
    stop_signal: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


class ImageError(Exception):
    """An image cannot be had. `reason` is the kubelet's word: ErrImagePull, InvalidImageName,
    ErrImageNeverPull; the message says why."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


Report = Callable[[str, str, str], None]
"""Told (type, reason, message) of what an event on the pod should say (Pulling, Pulled, ...)."""


class Images(Protocol):
    """The images of this machine."""

    async def ensure(
        self, ref: str, policy: str, report: Report, auths: Mapping[str, str] | None = None
    ) -> Image:
        """Have image `ref` unpacked, by `policy` (Always, IfNotPresent, Never).

        Order: local store; registry; where the registry cannot be reached, the recipe of that
        name. `auths` maps registry hosts to base64 `user:password`. Raises ImageError.
        """
        ...

    def local(self, ref: str) -> Image | None:
        """Image `ref` if it is in the local store."""
        ...
