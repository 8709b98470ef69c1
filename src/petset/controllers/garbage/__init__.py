"""garbage: objects go with their owners.

Key: `<resource>|<namespace>|<name>` of any object that has owners or is being deleted with a
finalizer of propagation. Watches: every resource that can be listed and watched, except events.
Parts: plan.py (pure), graph.py (who is there, who depends on whom).
Invariant: an owner counts as absent only after a live look; a deletion is guarded by uid and
resourceVersion, so an object that changed meanwhile is looked at again.
"""
