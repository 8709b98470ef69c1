"""Reading logs: tails, pieces of lines, limits, growth, rotation."""

import asyncio
from pathlib import Path

from petset.api.meta import parse_time
from petset.node import logs
from tests.unit.node.sink import Sink

T = "2026-11-20T05:28:{:02d}.5+00:00"


def line(number: int, text: str, tag: str = "F") -> str:
    return f"{T.format(number)} stdout {tag} {text}\n"


async def read(file: Path, **options: object) -> bytes:
    sink, over = Sink(), asyncio.Event()
    over.set()
    await logs.stream(file, logs.Options(**options), sink, over)  # type: ignore[arg-type]
    return sink.data


async def test_pieces_of_a_line_are_joined(tmp_path: Path) -> None:
    file = tmp_path / "l"
    file.write_text(line(1, "a ", "P") + line(2, "b") + line(3, ""))
    assert await read(file) == b"a b\n\n"


async def test_tail_counts_lines_over_many_blocks(tmp_path: Path) -> None:
    file = tmp_path / "l"
    file.write_text("".join(line(n % 60, f"{n} " + "x" * 200) for n in range(2000)))
    found = (await read(file, tail=700)).splitlines()
    assert [int(row.split()[0]) for row in found] == list(range(1300, 2000))
    assert len((await read(file, tail=5000)).splitlines()) == 2000
    assert await read(file, tail=0) == b""


async def test_since_and_timestamps(tmp_path: Path) -> None:
    file = tmp_path / "l"
    file.write_text(line(1, "old") + line(9, "new"))
    assert await read(file, since=parse_time(T.format(5))) == b"new\n"
    assert await read(file, since=parse_time(T.format(10))) == b""
    assert await read(file, timestamps=True, tail=1) == b"2026-11-20T05:28:09.5Z new\n"


async def test_a_missing_log_is_empty(tmp_path: Path) -> None:
    assert await read(tmp_path / "no") == b""


async def test_following_sees_growth_and_rotation_to_the_end(tmp_path: Path) -> None:
    file = tmp_path / "l"
    file.write_text(line(1, "one"))
    sink, over = Sink(), asyncio.Event()
    work = asyncio.ensure_future(logs.stream(file, logs.Options(follow=True), sink, over))
    await sink.until(b"one\n")
    with file.open("a") as opened:
        opened.write(line(2, "two"))
    await sink.until(b"two\n")
    file.rename(tmp_path / "l.1")
    file.write_text(line(3, "three"))
    await sink.until(b"three\n")
    with file.open("a") as opened:
        opened.write(line(4, "four"))
    over.set()
    await work
    assert sink.data == b"one\ntwo\nthree\nfour\n"


async def test_a_follower_that_leaves_ends_it(tmp_path: Path) -> None:
    file = tmp_path / "l"
    file.write_text(line(1, "one"))
    sink = Sink()
    work = asyncio.ensure_future(
        logs.stream(file, logs.Options(follow=True), sink, asyncio.Event())
    )
    await sink.until(b"one\n")
    sink.gone.set()
    async with asyncio.timeout(10):
        await work
