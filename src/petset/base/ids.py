"""Randomness as a value that is passed in: uids and name suffixes.

Invariant: no other module of petset draws random numbers for names or uids.
"""

import random

_UUID_RANDOM = ~(0xF << 76 | 0x3 << 62)
_UUID_VERSION_4 = 0x4 << 76 | 0x2 << 62
"""The bits of a UUID that tell its version and variant (RFC 9562, 5.4), and all others."""

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
        number = self.rng.getrandbits(128) & _UUID_RANDOM | _UUID_VERSION_4
        text = f"{number:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def suffix(self, length: int = 5) -> str:
        """A name suffix of `length` letters, as `metadata.generateName` gets."""
        return "".join(self.rng.choices(SUFFIX_ALPHABET, k=length))
