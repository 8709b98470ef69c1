"""reconcile: the loop that controllers share: observe, plan, execute.

Invariant: the executor is the only writer. May import: base, api, client.
"""
