"""api: the object model. How objects look, default, validate, patch, select and print.

Invariant: pure. No clock, no randomness, no input or output; `now` and names come as arguments.
May import: base (values only).
"""
