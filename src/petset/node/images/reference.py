"""Image references: text to parts and back, as Docker reads them. Pure.

Rules: the grammar of distribution references; `nginx` is short for
`docker.io/library/nginx:latest`.
"""

import re
from dataclasses import dataclass

HUB = "docker.io"
_HUB_HOST = "registry-1.docker.io"
_NAME_MAX = 255

_DOMAIN_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = re.compile(
    rf"(?:{_DOMAIN_LABEL}(?:\.{_DOMAIN_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?", re.ASCII
)
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*", re.ASCII)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}", re.ASCII)
_BARE_ID = re.compile(r"[0-9a-f]{64}", re.ASCII)


class InvalidReferenceError(ValueError):
    """A text is no image reference; the message says why."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A normalised reference.

    Attributes:
        domain: registry as named (`docker.io`, `localhost:5000`).
        path: repository (`library/nginx`).
        tag: "" only when there is a digest and no tag was given.
        digest: `sha256:...` or "".
    """

    domain: str
    path: str
    tag: str
    digest: str = ""

    @property
    def name(self) -> str:
        """Domain and path: `docker.io/library/nginx`."""
        return f"{self.domain}/{self.path}"

    @property
    def host(self) -> str:
        """Host (and port) that answers for the domain."""
        return _HUB_HOST if self.domain == HUB else self.domain

    @property
    def wanted(self) -> str:
        """What to ask the registry for: the digest, or else the tag."""
        return self.digest or self.tag

    @property
    def local(self) -> bool:
        """Whether the registry is this machine itself, and so spoken to without TLS."""
        bare = self.domain.rpartition(":")[0] if _has_port(self.domain) else self.domain
        return bare in ("localhost", "[::1]") or bare.startswith("127.")

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"


def parse(text: str) -> Reference:
    """Read a reference; what it leaves out is filled in. Raises InvalidReferenceError."""
    rest, digest = _cut_digest(text)
    if _BARE_ID.fullmatch(rest):
        raise InvalidReferenceError(
            f"invalid repository name ({rest}), cannot specify 64-byte hexadecimal strings"
        )
    rest, tag = _cut_tag(rest)
    domain, path = _split_domain(rest)
    if path.lower() != path:
        raise InvalidReferenceError(
            f"invalid reference format: repository name ({path}) must be lowercase"
        )
    if not _PATH.fullmatch(path) or not _DOMAIN.fullmatch(domain):
        raise InvalidReferenceError("invalid reference format")
    if len(domain) + len(path) + 1 > _NAME_MAX:
        raise InvalidReferenceError(f"repository name must not be more than {_NAME_MAX} characters")
    return Reference(domain, path, tag or ("" if digest else "latest"), digest)


def _has_port(domain: str) -> bool:
    head, colon, port = domain.rpartition(":")
    return bool(colon) and port.isdecimal() and bool(head)


def _cut_digest(text: str) -> tuple[str, str]:
    rest, at, digest = text.partition("@")
    if not at:
        return text, ""
    if not _DIGEST.fullmatch(digest):
        raise InvalidReferenceError("invalid reference format: unsupported or malformed digest")
    return rest, digest


def _cut_tag(text: str) -> tuple[str, str]:
    """Cut `:tag` off; a colon before the last slash belongs to the registry's port."""
    at = text.rfind(":")
    if at <= text.rfind("/"):
        return text, ""
    tag = text[at + 1 :]
    if not _TAG.fullmatch(tag):
        raise InvalidReferenceError("invalid reference format")
    return text[:at], tag


def _split_domain(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    named = any(mark in first for mark in ".:") or first == "localhost" or first.lower() != first
    if not slash or not named:
        domain, path = HUB, text
    else:
        domain, path = first, rest
    if domain == f"index.{HUB}":
        domain = HUB
    if domain == HUB and "/" not in path:
        path = f"library/{path}"
    return domain, path
