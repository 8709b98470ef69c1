"""Warnings of the API on the command line."""

from collections.abc import AsyncIterator

import pytest

from petset.apiserver.warnings import headers
from petset.base.http import Response
from petset.cli.warned import Warned, texts


def test_texts_come_out_as_they_were_sent() -> None:
    sent = ["plain; with, signs", 'annotation "a" is deprecated', "back\\slash"]
    assert list(texts(headers(sent))) == sent
    assert list(texts([("warning", '299 - "a"'), ("Content-Type", "text/plain")])) == ["a"]
    assert list(texts([("Warning", "no text")])) == []


class _Answering:
    """A transport that gives the same answer to every request."""

    def __init__(self, response: Response) -> None:
        self.response = response
        self.closed = False

    async def request(self, method: str, path: str, **more: object) -> Response:
        del method, path, more
        return self.response

    async def stream(self, path: str, **more: object) -> AsyncIterator[bytes]:
        del more
        yield path.encode()

    async def close(self) -> None:
        self.closed = True


async def test_each_warning_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    inner = _Answering(Response(200, headers(["one", "two"]), b"{}"))
    warned = Warned(inner)
    assert (await warned.request("GET", "/a")).body == b"{}"
    await warned.request("GET", "/a")
    assert capsys.readouterr() == ("", "Warning: one\nWarning: two\n")
    assert [piece async for piece in warned.stream("/b")] == [b"/b"]
    await warned.close()
    assert inner.closed
