"""Reviews: who am I, may I. Nothing is stored.

Until there is RBAC, every authenticated user may do everything, and the answers say so.
"""

from typing import Any

from petset.api.meta import MutableObj
from petset.apiserver import answer, authz, body, negotiate
from petset.apiserver.call import Call
from petset.apiserver.verbs import options
from petset.base.http import Identity, Reply

REVIEWS = frozenset(
    {
        "selfsubjectreviews.authentication.k8s.io",
        "tokenreviews.authentication.k8s.io",
        "localsubjectaccessreviews.authorization.k8s.io",
        "selfsubjectaccessreviews.authorization.k8s.io",
        "selfsubjectrulesreviews.authorization.k8s.io",
        "subjectaccessreviews.authorization.k8s.io",
    }
)


async def review(call: Call) -> Reply:
    """Answer a review with its status filled in."""
    call.format = negotiate.choose(call.request.headers.get("accept", ""), negotiate.OTHER)
    options.read_write_options(call, "CreateOptions")
    obj = body.read_object(call, call.route.resource)
    obj.setdefault("metadata", {})
    obj["status"] = _status(call, obj)
    return answer.value_of(call, obj, 201)


def _status(call: Call, obj: MutableObj) -> dict[str, Any]:
    spec = obj.get("spec") or {}
    match call.route.resource.plural:
        case "selfsubjectreviews":
            return {"userInfo": _user_info(call.identity)}
        case "tokenreviews":
            return {"authenticated": False, "error": "petset does not issue tokens yet"}
        case "selfsubjectrulesreviews":
            return authz.all_rules()
        case "selfsubjectaccessreviews":
            return authz.verdict(call.identity)
        case _:
            groups = (*(spec.get("groups") or ()), authz.AUTHENTICATED)
            return authz.verdict(Identity(spec.get("user") or "", groups))


def _user_info(identity: Identity) -> dict[str, Any]:
    info: dict[str, Any] = {"username": identity.user, "groups": list(identity.groups)}
    if identity.uid:
        info["uid"] = identity.uid
    if identity.extra:
        info["extra"] = {key: list(values) for key, values in identity.extra.items()}
    return info
