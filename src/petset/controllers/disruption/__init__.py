"""disruption: how many pods of a PodDisruptionBudget may be evicted now.

Key: namespace/name of a PodDisruptionBudget. Watches: budgets, pods (by selector), and the sets
that give the expected number of pods (statefulsets, replicasets, deployments,
replicationcontrollers).
Part: plan.py (pure).
Invariant: the status is written under the resourceVersion that was seen, because evictions count
it down at the same time.
"""
