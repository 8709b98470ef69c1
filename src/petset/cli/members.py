"""The pod that a person means by `web-0`, `pod/web-0`, `sts/web`, `deploy/shop` or `svc/web`."""

import sys
from typing import Any

from petset.api import selectors
from petset.cli import targets
from petset.cli.failure import Failure
from petset.client.client import Client
from petset.reconcile.podtemplate import is_ready


async def pod_of(client: Client, word: str, namespace: str) -> str:
    """The name of a pod: of the one named, or of the best member of the workload named.

    Best is Ready before Running before the rest, then the lowest ordinal. Says on standard error
    which it took when there were several, as kubectl does. `Failure` when the workload selects no
    pods, or is of a kind that has none; `StatusError` 404 when it does not exist.
    """
    if "/" not in word:
        return word
    (resource, name), *_ = targets.parse([word])
    if resource.id == "pods":
        return name
    chosen = _selector(await client.get(resource.id, name, namespace))
    if chosen is None:
        raise Failure(f"cannot tell the pods of {word}: a {resource.kind} selects none")
    listed = await client.list("pods", namespace, labels=str(chosen))
    pods = sorted(listed.items, key=_rank)
    if not pods:
        raise Failure(f"{word} has no pods now (selector {chosen})")
    best = str(pods[0]["metadata"]["name"])
    if len(pods) > 1:
        print(f"Found {len(pods)} pods, using pod/{best}", file=sys.stderr)
    return best


def _selector(obj: dict[str, Any]) -> selectors.LabelSelector | None:
    wanted = (obj.get("spec") or {}).get("selector")
    if not isinstance(wanted, dict) or not wanted:
        return None
    if obj["kind"] in ("Service", "ReplicationController"):
        return selectors.from_labels(wanted)
    return selectors.from_object(wanted)


def _rank(pod: dict[str, Any]) -> tuple[bool, bool, int, str]:
    name = pod["metadata"]["name"]
    running = (pod.get("status") or {}).get("phase") == "Running"
    return not is_ready(pod), not running, len(name), name
