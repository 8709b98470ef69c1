from collections.abc import AsyncIterator

import pytest_asyncio

from tests.unit.apiserver.harness import Server, serving


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as made:
        yield made
