"""What to do next for one node, one pod, or the finished pods. Pure."""

from petset.controllers.nodelife.nodes import ObservedNode, plan_node
from petset.controllers.nodelife.pods import (
    ObservedFinished,
    ObservedPod,
    plan_finished,
    plan_pod,
)
from petset.reconcile.actions import Plan

Observed = ObservedNode | ObservedPod | ObservedFinished


def plan(seen: Observed, now: float) -> Plan:
    """The actions for `seen` at wall-clock time `now`."""
    match seen:
        case ObservedNode():
            return plan_node(seen, now)
        case ObservedPod():
            return plan_pod(seen, now)
        case ObservedFinished():
            return plan_finished(seen)
