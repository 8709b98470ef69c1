"""client: the same API from outside: transport, typed calls, reflector, cache, queue.

Invariant: objects in a cache are shared and never mutated. May import: base, api.
"""
