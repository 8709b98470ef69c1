"""node: the agent. Runs the pods bound to one node and reports what it sees.

Invariant: reaches the cluster over the API only. A killed agent leaves its pods running and its
successor adopts them. May import: base, api, client, reconcile.
"""
