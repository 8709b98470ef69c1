"""Resource quantities (`500m`, `1Gi`, `2e3`): exact parsing, comparing and canonical text.

Amounts are whole numbers of nanos (10^-9): upstream rounds anything finer away from zero, and
caps the size at 2^63-1 units.
"""

import functools
import re
from dataclasses import dataclass, field
from fractions import Fraction

NANO = 10**9
MAX = 2**63 - 1

PATTERN = r"^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"
"""The rule that upstream quotes in its error message."""

_WRONG_FORMAT = f"quantities must match the regular expression '{PATTERN}'"
_WRONG_NUMBER = "unable to parse numeric part of quantity"
_WRONG_SUFFIX = "unable to parse quantity's suffix"

_SHAPE = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*[-+]?[0-9]*)", re.ASCII)
_EXPONENT = re.compile(r"[eE][-+]?[0-9]+", re.ASCII)

_KEPT_LENGTH_MAX = 256
DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL_SUFFIX = {power: suffix for suffix, power in DECIMAL.items()}
_BINARY_SUFFIX = {power: suffix for suffix, power in BINARY.items()}


@dataclass(frozen=True, slots=True, order=True)
class Quantity:
    """An exact amount. Equality, order and hash look at the amount alone.

    Attributes:
        nano: the amount in units of 10^-9.
        family: how it prints: "decimal" (500m, 2k), "binary" (1Gi) or "exponent" (2e3).
    """

    nano: int
    family: str = field(default="decimal", compare=False)

    @property
    def value(self) -> Fraction:
        """The amount in units."""
        return Fraction(self.nano, NANO)

    @property
    def milli(self) -> int:
        """Thousandths, rounded up."""
        return -(-self.nano // 10**6)

    @property
    def whole(self) -> int:
        """Units, rounded up."""
        return -(-self.nano // NANO)

    def __add__(self, other: "Quantity") -> "Quantity":
        """The sum; a zero takes the other's family."""
        family = self.family if self.nano or not other.nano else other.family
        return Quantity(self.nano + other.nano, family)

    def __sub__(self, other: "Quantity") -> "Quantity":
        """The difference; a zero takes the other's family."""
        family = self.family if self.nano or not other.nano else other.family
        return Quantity(self.nano - other.nano, family)

    def __str__(self) -> str:
        """Canonical text: no fraction, the largest suffix that loses nothing."""
        binary = self.family == "binary" and abs(self.nano) >= 1024 * NANO
        if binary and self.nano % NANO == 0:
            return _print_binary(self.nano // NANO)
        return _print_decimal(self.nano, exponent=self.family == "exponent")


def parse(text: object) -> Quantity:
    """The quantity that a JSON string or number stands for.

    Raises ValueError, in upstream's words, for anything else.
    """
    if isinstance(text, str):
        return _parse(text)
    if isinstance(text, int | float) and not isinstance(text, bool):
        return _parse(repr(text))
    raise ValueError(_WRONG_FORMAT)


def canonical(text: object) -> str:
    """How the API prints a quantity: `1000m` as `1`, `0.5` as `500m`, `1024Mi` as `1Gi`."""
    return str(parse(text))


def milli(text: object) -> int:
    """Thousandths of a unit, rounded up (CPU)."""
    return parse(text).milli


def whole(text: object) -> int:
    """Whole units, rounded up (bytes, counts)."""
    return parse(text).whole


def _parse(text: str) -> Quantity:
    return _kept(text) if len(text) <= _KEPT_LENGTH_MAX else _kept.__wrapped__(text)


@functools.lru_cache(maxsize=4096)
def _kept(text: str) -> Quantity:
    match = _SHAPE.fullmatch(text.strip())
    if match is None or not text.strip():
        raise ValueError(_WRONG_FORMAT)
    sign, number, fraction, suffix = match[1], match[2], match[3] or "", match[4]
    if not number and not fraction:
        raise ValueError(_WRONG_NUMBER)
    base, power, family = _interpret(suffix)
    if len(number) + len(fraction) > 4000:
        raise ValueError(_WRONG_NUMBER)
    digits = int(number + fraction) * (1024**power if base == 1024 else 1)
    nano = _scale(digits, (power if base == 10 else 0) - len(fraction) + 9)
    if family == "binary" and 0 < nano < NANO:
        family = "decimal"
    nano = min(nano, MAX * NANO)
    return Quantity(-nano if sign == "-" else nano, family)


def _interpret(suffix: str) -> tuple[int, int, str]:
    if suffix in DECIMAL:
        return 10, DECIMAL[suffix], "decimal"
    if suffix in BINARY:
        return 1024, BINARY[suffix], "binary"
    if _EXPONENT.fullmatch(suffix) and len(suffix) < 22:
        return 10, int(suffix[1:]), "exponent"
    raise ValueError(_WRONG_SUFFIX)


def _scale(digits: int, power: int) -> int:
    """digits * 10^power, rounded away from zero, without computing needlessly huge numbers."""
    if not digits:
        return 0
    if power >= 0:
        return digits * _ten(min(power, 40))
    return -(-digits // _ten(min(-power, 4100)))


def _ten(power: int) -> int:
    ten: int = 10**power
    return ten


def _print_binary(units: int) -> str:
    power = 0
    while units % 1024 == 0 and power < 6:
        units //= 1024
        power += 1
    return f"{units}{_BINARY_SUFFIX[power] if power else ''}"


def _print_decimal(nano: int, *, exponent: bool) -> str:
    if not nano:
        return "0"
    power = -9
    while nano % 1000 == 0 and power < 18:
        nano //= 1000
        power += 3
    if exponent:
        return f"{nano}e{power}" if power else str(nano)
    return f"{nano}{_DECIMAL_SUFFIX[power]}"
