"""What the scheduler cannot do is refused by name, not left out in silence."""

from petset.scheduler.plugins.types import PodInfo, Refusal, World


def prepare(pod: PodInfo, world: World) -> Refusal | None:
    """Refuse pods that ask for devices by resource claims."""
    del world
    if pod.spec.get("resourceClaims"):
        return Refusal("petset does not support resourceClaims yet")
    return None
