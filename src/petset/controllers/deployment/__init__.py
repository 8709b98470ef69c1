"""deployment: rolls pod templates out over ReplicaSets, and back.

Key: namespace/name of a Deployment. Watches: deployments, replicasets (by owner; orphans by
selector), and pods of deployments of type Recreate, which wait for old pods to be gone.
Parts: plan.py (the sync), spec.py, sets.py (its ReplicaSets and their names), annotations.py
(revision numbers), rolling.py, scaling.py, progress.py (conditions), status.py; all pure.
Invariant: pods are the ReplicaSets' business; a rolling update leaves at least
replicas - maxUnavailable pods available and asks for at most replicas + maxSurge; a settled
deployment plans nothing.
Rules: Kubernetes' own (apps/v1).
"""
