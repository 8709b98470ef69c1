"""statefulset: pods with ordinals, their claims, ordered start, stop and roll-out.

Key: namespace/name of a StatefulSet. Watches: statefulsets, pods (by owner; orphans by selector
and by name), persistentvolumeclaims (a claim that goes may let a pod start) and reads
controllerrevisions.
Parts: plan.py (the sync), identity.py, storage.py, rollout.py, status.py; all pure.
Invariant: never two pods of one ordinal; a claim is never deleted; a settled set plans nothing.
Rules: Kubernetes' own (apps/v1), maxUnavailable as in 1.37.
"""
