"""replicaset: as many interchangeable pods as asked for, with generated names and no order.

Key: namespace/name of a ReplicaSet. Watches: replicasets, pods (by owner; orphans by selector).
Parts: plan.py (the sync), spec.py, victims.py (which pods go first), status.py; all pure.
Invariant: pods that have ended or are going do not count; pods of another owner are not touched;
a settled set plans nothing.
Rules: Kubernetes' own (apps/v1).
"""
