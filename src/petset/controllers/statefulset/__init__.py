"""statefulset: pods with ordinals, their claims, ordered start, stop and roll-out.

Key: namespace/name of a StatefulSet. Watches: statefulsets, pods (by owner; orphans by selector
and by name), persistentvolumeclaims (one that goes may let a pod start, one that has grown lets
the next one grow); reads controllerrevisions and storageclasses.
Parts: plan.py (the sync), world.py and steps.py (one ordinal), identity.py, storage.py,
rollout.py, status.py; beyond Kubernetes heal.py and trouble.py (broken roll-outs), conditions.py,
backoff.py (failed pods), ending.py (ordered deletion), growth.py (claims follow their templates);
all pure. Choices are made by annotations (api/apps/v1/setoptions.py).
Invariant: never two pods of one ordinal; a claim is never deleted; a settled set plans nothing.
Invariant: no Ready pod is taken down out of order.
Rules: Kubernetes' own (apps/v1), maxUnavailable as in 1.37.
"""
