"""The behaviour of every kind that has one of its own, by resource id."""

from collections.abc import Mapping

from petset.api.apps.v1 import revision, statefulset
from petset.api.core.v1 import pod, pvc
from petset.api.kind import Behaviour
from petset.api.table import PLAIN

BEHAVIOURS: Mapping[str, Behaviour] = {
    "persistentvolumeclaims": pvc.BEHAVIOUR,
    "pods": pod.BEHAVIOUR,
    "controllerrevisions.apps": revision.BEHAVIOUR,
    "statefulsets.apps": statefulset.BEHAVIOUR,
}

_DEFAULT = Behaviour(table=PLAIN)


def behaviour(resource_id: str) -> Behaviour:
    """The behaviour of a resource (`pods`, `statefulsets.apps`); a plain one where it has none."""
    return BEHAVIOURS.get(resource_id, _DEFAULT)
