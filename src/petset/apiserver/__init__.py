"""apiserver: Kubernetes' REST API over a store.

Invariant: the only room that writes the store. May import: base, api, store.
"""
