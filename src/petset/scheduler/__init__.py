"""scheduler: picks a node for each pod that has none.

Invariant: the decision is pure (plan.py, plugins/); binding is the only write.
"""
