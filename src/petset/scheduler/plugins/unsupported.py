"""What the scheduler cannot do is refused by name, not left out in silence."""

from petset.scheduler.plugins.types import PodInfo, Refusal, World


def prepare(pod: PodInfo, world: World) -> Refusal | None:
    """Refuse pods with devices by resource claims, or claims that live and die with the pod."""
    del world
    if pod.spec.get("resourceClaims"):
        return Refusal("petset does not support resourceClaims yet")
    if any(v.get("ephemeral") for v in pod.spec.get("volumes") or ()):
        return Refusal("petset does not support ephemeral volumes yet")
    return None
