"""protobuf: bodies that kubectl sends in Kubernetes' protobuf form, decoded to plain objects.

Invariant: answers are never made in protobuf. Messages that the table does not know are refused
by name, never guessed.
"""
