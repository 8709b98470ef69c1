"""Which container of which pod on which node a log, exec, attach or port-forward is for."""

from collections.abc import Sequence
from dataclasses import dataclass

from petset.api.errors import bad_request, not_found
from petset.api.meta import Obj, name_of
from petset.apiserver.call import Call
from petset.apiserver.kubelet import node_named

_LISTS = ("containers", "initContainers", "ephemeralContainers")


@dataclass(frozen=True, slots=True)
class Target:
    """A pod, one of its containers ("" where none is meant), and its node."""

    pod: Obj
    container: str
    node: Obj


def find_pod(call: Call) -> Obj:
    """The pod that the URL names. Raises StatusError 404."""
    pod = call.backend.view.get("pods", call.route.namespace, call.route.name)
    if pod is None:
        raise not_found("pods", call.route.name)
    return pod


def find_node(call: Call, pod: Obj) -> Obj:
    """The node that `pod` is bound to. Raises StatusError 400 and 404."""
    name = (pod.get("spec") or {}).get("nodeName")
    if not name:
        raise bad_request(f"pod {name_of(pod)} does not have a host assigned")
    return node_named(call.backend.view.get("nodes", "", name), name)


def choose_container(pod: Obj, wanted: str) -> str:
    """The container meant by `wanted`, which may be "" if there is only one.

    Raises StatusError 400.
    """
    spec, name = pod.get("spec") or {}, name_of(pod)
    names = {key: _names(spec.get(key) or ()) for key in _LISTS}
    if wanted:
        if not any(wanted in found for found in names.values()):
            raise bad_request(f"container {wanted} is not valid for pod {name}")
        return wanted
    if len(names["containers"]) == 1:
        return names["containers"][0]
    text = f"a container name must be specified for pod {name}"
    if names["containers"]:
        text += f", choose one of: [{' '.join(names['containers'])}]"
    if names["initContainers"]:
        text += f" or one of the init containers: [{' '.join(names['initContainers'])}]"
    if names["ephemeralContainers"]:
        ephemeral = " ".join(names["ephemeralContainers"])
        text += f" or one of the ephemeral containers: [{ephemeral}]"
    raise bad_request(text)


def _names(containers: Sequence[Obj]) -> list[str]:
    return [str(c.get("name")) for c in containers]
