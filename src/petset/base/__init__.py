"""base: clock, ids, tasks, logging, the HTTP seam and its protocols.

Invariant: knows nothing of Kubernetes. May import: the standard library, httptools, websockets
(in the adapter modules only).
"""
