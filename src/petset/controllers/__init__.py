"""controllers: one folder each, on one plan: controller.py watches and observes, plan.py decides.

Invariant: controllers do not know each other. May import: base, api, client, reconcile.
"""
