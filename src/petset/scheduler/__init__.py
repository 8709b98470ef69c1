"""scheduler: picks a node for each pod that has none.

Invariant: the decision is pure (plan.py, plugins/). Written are bindings, the volumes chosen for
claims, and why a pod has no node (PodScheduled, events).
"""
