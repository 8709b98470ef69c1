"""Randomness as a value that is passed in: uids and name suffixes.

Invariant: no other module of petset draws random numbers for names or uids.
"""

import random
import uuid

SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Letters of generated name suffixes: no vowels, no digits that look like letters."""


class Ids:
    """Makes uids and suffixes from one random generator.

    Args:
        seed: a fixed seed makes the sequence repeatable; None takes the system's entropy.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.rng: random.Random = random.SystemRandom() if seed is None else random.Random(seed)  # noqa: S311

    def uid(self) -> str:
        """A random UUID (version 4) in its usual text form."""
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))

    def suffix(self, length: int = 5) -> str:
        """A name suffix of `length` letters, as `metadata.generateName` gets."""
        return "".join(self.rng.choices(SUFFIX_ALPHABET, k=length))
