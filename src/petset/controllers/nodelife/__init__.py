"""nodelife: nodes that stop reporting, and the pods on them.

Keys: `node/<name>`, `pod/<namespace>/<name>`, `finished`. Watches: nodes, their leases, pods.
Parts: plan.py (which of the three), nodes.py, pods.py, taints.py, disruption.py; all pure.
Invariant: a pod is taken from a node only by its taints and the pod's tolerations, or after a live
look has shown that the node is gone. Only such a pod, or one on a node that somebody has declared
out of service, is deleted without its agent's confirmation.
"""
