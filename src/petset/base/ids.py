"""Randomness for uids and name suffixes, passed in as a value.

Invariant: no other module of petset draws random numbers for names or uids.
"""

import random

_UUID_RANDOM = ~(0xF << 76 | 0x3 << 62)
_UUID_VERSION_4 = 0x4 << 76 | 0x2 << 62
"""The bits of a UUID that tell its version and variant (RFC 9562, 5.4), and all others."""

STOCK_BYTES = 1024
"""Random bytes fetched from the system at a time, for uids: each time is a call of the kernel."""

SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Letters of generated name suffixes: no vowels, no digits that look like letters."""


class Ids:
    """Makes uids and suffixes from one random generator.

    Args:
        seed: a fixed seed makes the sequence repeatable; None takes the system's entropy.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._entropy = b""
        self._from_system = seed is None
        self.rng: random.Random = random.SystemRandom() if seed is None else random.Random(seed)  # noqa: S311

    def uid(self) -> str:
        """A random UUID (version 4) in its usual text form."""
        bits = self._from_stock() if self._from_system else self.rng.getrandbits(128)
        text = f"{bits & _UUID_RANDOM | _UUID_VERSION_4:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def _from_stock(self) -> int:
        """128 of the system's random bits, which are fetched many at a time."""
        if not self._entropy:
            self._entropy = self.rng.randbytes(STOCK_BYTES)
        bits, self._entropy = self._entropy[:16], self._entropy[16:]
        return int.from_bytes(bits)

    def suffix(self, length: int = 5) -> str:
        """A name suffix of `length` letters, as `metadata.generateName` gets."""
        return "".join(self.rng.choices(SUFFIX_ALPHABET, k=length))
