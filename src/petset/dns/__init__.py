"""dns: answers names of Services and pods from the watch cache.

Invariant: what to answer is pure (answer.py). May import: base, api, client.
"""
