"""base: clock, ids, logging, certificates, the HTTP seam and its protocols.

Invariant: knows nothing of Kubernetes. May import: the standard library; httptools and websockets
in the adapter modules, cryptography in certificates.py.
"""
