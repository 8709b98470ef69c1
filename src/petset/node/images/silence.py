"""Which registries gave no answer lately, known to every agent of this machine.

Kept as small files beside the images, so that ten pods, three nodes and the next `petset up` do not
each wait for the same unreachable registry. Losing a file costs one more try, nothing else.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import orjson

from petset.base.clock import Clock

TRUSTED_S = 600.0
"""For how long a registry's silence is taken for granted where something can stand in."""


@dataclass(frozen=True, slots=True)
class Silence:
    """A registry was asked `age_s` ago and gave no answer, for the reason `why`."""

    why: str
    age_s: float


class Silences:
    """The registries' silences, below `root`."""

    def __init__(self, root: Path, clock: Clock) -> None:
        self._folder = root / "silent"
        self._clock = clock

    def of(self, domain: str) -> Silence | None:
        """What is known of registry `domain`; None when it answered, or was never asked."""
        try:
            note = orjson.loads(self._file(domain).read_bytes())
            return Silence(str(note["why"]), max(0.0, self._clock.now() - float(note["asked"])))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def note(self, domain: str, why: str) -> None:
        """Registry `domain` gave no answer just now."""
        self._folder.mkdir(parents=True, exist_ok=True)
        fresh = self._folder / f".{os.getpid()}.{id(self)}"
        fresh.write_bytes(orjson.dumps({"why": why, "asked": self._clock.now()}))
        fresh.replace(self._file(domain))

    def forget(self, domain: str) -> None:
        """Registry `domain` answered."""
        self._file(domain).unlink(missing_ok=True)

    def _file(self, domain: str) -> Path:
        return self._folder / domain.replace("/", "_")
