"""Cached answers are those that an index made anew would give, whatever changes between them."""

import random
from typing import Any

from petset.dns.local import SLICES
from tests.unit.dns.objects import endpoint, endpoint_slice, index_of, service
from tests.unit.dns.test_answer import ask, data
from tests.unit.dns.test_server import serving

ZONE = "default.svc.cluster.local"
NAMES = [
    *(f"{name}.{ZONE}" for name in ("a", "b")),
    *(f"m-{i}.{name}.{ZONE}" for name in ("a", "b") for i in range(3)),
]
QUESTIONS = [
    *((name, kind) for name in NAMES for kind in ("A", "AAAA")),
    *((f"_web._tcp.{name}.{ZONE}", "SRV") for name in ("a", "b")),
    *((f"{i}.0.128.10.in-addr.arpa", "PTR") for i in range(3)),
    (ZONE, "A"),
]


def members(name: str, chance: random.Random) -> dict[str, Any]:
    numbers = [i for i in range(3) if chance.random() < 0.5]
    return endpoint_slice(
        name,
        *(endpoint(f"10.128.0.{i}", f"m-{i}", ready=chance.random() < 0.7) for i in numbers),
    )


async def test_answers_are_as_new_as_the_objects_after_every_change() -> None:
    chance = random.Random(11)
    services: dict[str, dict[str, Any]] = {}
    slices: dict[str, dict[str, Any]] = {}
    async with serving() as served:
        served.fill([], [])
        for _ in range(150):
            name = chance.choice(("a", "b"))
            match chance.randrange(4):
                case 0:
                    services[name] = service(name, chance.choice(("None", "10.96.0.77")))
                    served.informers.cache("services").apply("MODIFIED", services[name])
                case 1 if name in services:
                    served.informers.cache("services").apply("DELETED", services.pop(name))
                case 2 if name in slices:
                    served.informers.cache(SLICES).apply("DELETED", slices.pop(name))
                case _:
                    slices[name] = members(name, chance)
                    served.informers.cache(SLICES).apply("MODIFIED", slices[name])
            fresh = index_of(list(services.values()), list(slices.values()))
            for question in chance.sample(QUESTIONS, 8):
                for _ in range(2):
                    told, wanted = await served.ask(*question), ask(*question, fresh)
                    assert told.header.rcode == wanted.header.rcode, question
                    assert data(told) == data(wanted), question
