"""Authentication: by client certificate, or by the identity of an in-process caller."""

from functools import lru_cache
from urllib.parse import unquote

from petset.api.errors import StatusError, forbidden, internal
from petset.apiserver.authz import AUTHENTICATED
from petset.base.http import Identity, PeerCertificate, Request

MASTERS = "system:masters"
_EXTRA = "impersonate-extra-"


def identify(request: Request) -> Identity | None:
    """The identity behind `request`, None for anonymous ones.

    Raises StatusError 401 for credentials that are not understood, 403 and 500 for impersonation.
    """
    identity = _known(request)
    if identity is None:
        return None
    if "impersonate-" in "\n".join(request.headers) and _asks_for_another(request):
        return _impersonated(request, identity)
    return identity


def _known(request: Request) -> Identity | None:
    if request.identity is not None:
        return request.identity
    if request.peer is not None and request.peer.common_name:
        return _of_peer(request.peer)
    if request.headers.get("authorization"):
        raise StatusError(401, "Unauthorized", "Unauthorized")
    return None


@lru_cache(maxsize=256)
def _of_peer(peer: PeerCertificate) -> Identity:
    groups = dict.fromkeys((*peer.organizations, AUTHENTICATED))
    return Identity(peer.common_name, tuple(groups))


def _asks_for_another(request: Request) -> bool:
    return any(name.startswith("impersonate-") for name in request.headers)


def _impersonated(request: Request, identity: Identity) -> Identity:
    user = request.headers.get("impersonate-user", "")
    if not user:
        what = sorted(name for name in request.headers if name.startswith("impersonate-"))
        raise internal(f"requested {what} without impersonating a user")
    if MASTERS not in identity.groups:
        why = f'User "{identity.user}" cannot impersonate resource "users" in API group ""'
        raise forbidden("users", user, f"{why} at the cluster scope")
    groups = _words(request.headers.get("impersonate-group", ""))
    if not groups and user.startswith("system:serviceaccount:"):
        namespace = user.split(":")[2]
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
    if user != "system:anonymous":
        groups = [*groups, AUTHENTICATED]
    extra = {
        unquote(name.removeprefix(_EXTRA)): tuple(_words(value))
        for name, value in request.headers.items()
        if name.startswith(_EXTRA)
    }
    uid = request.headers.get("impersonate-uid", "")
    return Identity(user, tuple(dict.fromkeys(groups)), uid, extra)


def _words(header: str) -> list[str]:
    return [word.strip() for word in header.split(",") if word.strip()]
