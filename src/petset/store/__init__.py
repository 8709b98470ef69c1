"""store: revisions of objects as bytes; compare-and-swap, consistent lists, history, events.

Invariant: a write is acknowledged only when it is durable; readers see committed state only.
Invariant: knows keys and bytes, nothing of Kubernetes objects. May import: base, api.
"""
