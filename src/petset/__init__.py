"""petset: a Kubernetes-compatible orchestrator for stateful applications.

Rooms, lowest first: base, api, {client, store}, reconcile, {apiserver, controllers, scheduler,
node, dns, proxy, dashboard}, testing, cli. Higher may import lower, never the reverse.
"""
