import subprocess
import sys

import pytest

from petset.cli import main, words
from petset.cli.words import Command, Parser


def _fill(parser: Parser) -> None:
    parser.add_argument("things", nargs="*")
    parser.add_argument("-n", "--number", type=words.between(1, 9), default=1)
    parser.add_argument("--time", type=words.seconds, default=0.0)


def run(*given: str, tail: str = "") -> words.Words:
    seen: list[words.Words] = []
    command = Command("try", "Try it.\n\nMore.", _fill, lambda read: seen.append(read), tail=tail)
    assert command.run(given) == 0
    return seen[0]


def test_options_may_stand_between_words() -> None:
    read = run("a", "-n", "3", "b", "--time=2s", "c")
    assert (read.things, read.number, read.time) == (["a", "b", "c"], 3, 2.0)


def test_everything_behind_two_dashes_is_handed_on() -> None:
    read = run("a", "-n3", "--", "sh", "-c", "x", "--", "-n", tail="command")
    assert (read.things, read.number) == (["a"], 3)
    assert read.command == ["sh", "-c", "x", "--", "-n"]


@pytest.mark.parametrize(
    "given",
    [
        ["-n", "0"],
        ["-n", "10"],
        ["-n", "x"],
        ["-n", "\u0663"],
        ["--time", "-1"],
        ["--time", "nan"],
        ["--numb", "3"],
        ["-z"],
    ],
)
def test_words_that_make_no_sense_end_with_code_2(
    given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(*given)
    assert ended.value.code == 2
    assert "see: petset try --help" in capsys.readouterr().err


def test_without_what_to_run_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    for given in (["a"], ["a", "--"]):
        with pytest.raises(SystemExit):
            run(*given, tail="command")
        assert "-- COMMAND" in capsys.readouterr().err


def test_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--help"]) == 0
    text = capsys.readouterr().out
    for command in main.COMMANDS.values():
        assert f"  {command.name} " in text
        assert command.summary in text
        assert command.summary.endswith((".", ")")), "a line of the overview is whole"
        assert command.parser().format_help()


@pytest.mark.parametrize("given", [["fly"], ["node", "fly"], ["node"], []])
def test_unknown_and_incomplete_commands_end_with_code_2(given: list[str]) -> None:
    assert main.run(given) == 2


def test_heavy_modules_wait_until_a_command_needs_them() -> None:
    script = "import sys, petset.cli.main; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert not loaded & {"asyncio", "yaml", "cryptography", "ssl", "petset.api.registry", "typer"}
