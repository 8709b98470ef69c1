"""Which event loop the server runs on."""

import asyncio
import importlib.util

import pytest

from petset.cli import server

INSTALLED = importlib.util.find_spec("uvloop") is not None


async def name_of_the_loop() -> str:
    return type(asyncio.get_running_loop()).__module__.partition(".")[0]


def loop_of(word: str) -> str:
    with server._runner(word) as runner:
        return runner.run(name_of_the_loop())


def test_asyncio_is_taken_when_asked_for() -> None:
    assert loop_of("asyncio") == "asyncio"


def test_uvloop_is_taken_where_it_is_installed() -> None:
    assert loop_of("") == ("uvloop" if INSTALLED else "asyncio")


@pytest.mark.skipif(INSTALLED, reason="uvloop is installed")
def test_uvloop_is_refused_by_name_where_it_is_not() -> None:
    with pytest.raises(server.RefusedError, match="uvloop is not installed"):
        server._runner("uvloop")


def test_another_word_is_refused() -> None:
    with pytest.raises(server.RefusedError, match="trio is no event loop"):
        server._runner("trio")
