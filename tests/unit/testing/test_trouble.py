"""Requests that go wrong on a wire: what the asker is told, and what the server has done."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from petset.api.errors import StatusError
from petset.client.client import Client
from petset.client.transport import TransportError
from petset.testing.breakable import CONTROL_WIRE, BreakableWorld
from petset.testing.clock import run_virtual
from petset.testing.trouble import LATE_MAX_S, How, Trouble
from petset.testing.world import ADMIN

ONE = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "one"}}


def tell(story: Callable[[BreakableWorld, Client], Awaitable[None]], trouble: Trouble) -> None:
    """Run a story with a client of the control plane's wire, on which requests go wrong."""

    async def main() -> None:
        async with BreakableWorld(nodes=0) as world:
            wire = world.wires[CONTROL_WIRE]
            client = wire.client(ADMIN, "me")
            wire.trouble(trouble)
            await story(world, client)
            assert not world.losses

    run_virtual(main())


async def create(client: Client) -> None:
    await client.create("configmaps", ONE, "default")


def test_a_request_that_is_not_reached_changes_nothing() -> None:
    async def story(world: BreakableWorld, client: Client) -> None:
        with pytest.raises(TransportError):
            await create(client)
        await asyncio.sleep(LATE_MAX_S)
        assert world.get("configmaps", "one") is None
        await create(client)

    tell(story, Trouble(How.UNREACHED, 1, who="me"))


def test_an_answer_that_is_lost_leaves_the_write_done() -> None:
    async def story(world: BreakableWorld, client: Client) -> None:
        with pytest.raises(TransportError):
            await create(client)
        assert world.get("configmaps", "one") is not None

    tell(story, Trouble(How.UNANSWERED, 1, who="me"))


def test_a_request_whose_asker_has_given_up_and_died_arrives_all_the_same() -> None:
    async def story(world: BreakableWorld, client: Client) -> None:
        with pytest.raises(TransportError):
            await create(client)
        world.crash_control(back_s=0.0)
        await asyncio.sleep(LATE_MAX_S)
        assert world.get("configmaps", "one") is not None

    tell(story, Trouble(How.LATER, 1, who="me"))


@pytest.mark.parametrize(("how", "code"), [(How.BUSY, 429), (How.AWAY, 503), (How.BROKEN, 500)])
def test_a_refusal_changes_nothing_and_has_its_status(how: How, code: int) -> None:
    async def story(world: BreakableWorld, client: Client) -> None:
        with pytest.raises(StatusError) as told:
            await create(client)
        assert told.value.code == code
        assert world.get("configmaps", "one") is None

    tell(story, Trouble(how, 1, who="me"))


def test_reads_and_other_parts_of_the_process_are_spared() -> None:
    async def story(world: BreakableWorld, client: Client) -> None:
        await create(world.wires[CONTROL_WIRE].client(ADMIN, "other"))
        assert (await client.get("configmaps", "one", "default"))["metadata"]["name"] == "one"
        with pytest.raises(TransportError):
            await client.delete("configmaps", "one", "default")

    tell(story, Trouble(How.UNREACHED, 1, who="me"))
