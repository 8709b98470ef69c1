"""Probes of a running container, with answers as a script has them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from petset.node.check import Answer, Checker, Target
from petset.node.prober import Prober
from petset.testing.clock import run_virtual
from tests.unit.node.test_check import Inside, make_socket

ERRORED = Answer(success=False, words="container not running", errored=True)
FAILED = Answer(success=False, words="no")
GOOD = Answer(success=True)


class Script(Checker):
    """Answers one thing after the other; the last one for ever."""

    def __init__(self, *answers: Answer) -> None:
        super().__init__(Inside(), make_socket)
        self.answers = list(answers)
        self.asked = 0

    async def check(self, target: Target, handler: Any, timeout_s: float) -> Answer:
        del target, handler, timeout_s
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def played(
    kind: str, script: Script, story: Callable[[Prober, list[str]], Awaitable[None]]
) -> None:
    """Probe a container by `script` while `story` goes on."""

    async def body() -> None:
        said: list[str] = []
        spec = {"name": "c", kind: {"exec": {"command": ["x"]}, "failureThreshold": 2}}
        async with asyncio.TaskGroup() as group:
            prober = Prober(
                script, group, changed=lambda: None, say=lambda _, words: said.append(words)
            )
            prober.begin(Target("id", spec, "10.0.0.1"))
            await story(prober, said)
            prober.end_all()

    run_virtual(body())


def test_tries_that_cannot_be_made_never_end_a_container() -> None:
    async def story(prober: Prober, said: list[str]) -> None:
        await asyncio.sleep(65)
        assert prober.probed("id").failed == ""
        words = "Liveness probe errored and resulted in unknown state: container not running"
        assert set(said) == {words}
        assert 6 <= len(said) <= 8, "once in a period"

    played("livenessProbe", Script(ERRORED), story)


def test_a_try_that_cannot_be_made_is_repeated_before_anybody_is_told() -> None:
    async def story(prober: Prober, said: list[str]) -> None:
        await asyncio.sleep(5)
        assert prober.probed("id").ready
        assert said == []

    played("readinessProbe", Script(ERRORED, ERRORED, GOOD), story)


def test_a_container_that_ends_meanwhile_is_not_told_of() -> None:
    async def story(prober: Prober, said: list[str]) -> None:
        await asyncio.sleep(0.05)
        prober.end("id")
        await asyncio.sleep(60)
        assert said == []

    played("readinessProbe", Script(ERRORED), story)


def test_a_try_that_cannot_be_made_leaves_a_ready_container_ready() -> None:
    async def story(prober: Prober, said: list[str]) -> None:
        await asyncio.sleep(100)
        assert prober.probed("id").ready
        assert said

    played("readinessProbe", Script(GOOD, ERRORED), story)


def test_failures_up_to_the_threshold_end_a_container() -> None:
    async def story(prober: Prober, said: list[str]) -> None:
        await asyncio.sleep(25)
        assert prober.probed("id").failed == "Container c failed liveness probe, will be restarted"
        assert said == ["Liveness probe failed: no"] * 2

    played("livenessProbe", Script(GOOD, FAILED), story)
