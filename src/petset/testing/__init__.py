"""testing: shipped fakes, the virtual clock and the world that joins the whole control plane.

Invariant: a fake passes the same suite as the real thing. May import: every room but cli.
"""
