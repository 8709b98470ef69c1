"""What a command of the command line is made of, on argparse (5 ms to load)."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

Words = argparse.Namespace


class Parser(argparse.ArgumentParser):
    """A parser that ends with one line and exit code 2 when the words make no sense."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and how to get help."""
        self.exit(2, f"{self.prog}: {message}\n  see: {self.prog} --help\n")


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes:
        name: its words, as in `node add`.
        about: its help: a first line for the overview, then more.
        fill: adds its arguments to a parser.
        do: does it; the exit code, None for 0.
        examples: lines for the end of its help.
        tail: the name under which all words behind `--` are handed on, "" when it takes none.
    """

    name: str
    about: str
    fill: Callable[[Parser], None]
    do: Callable[[Words], int | None]
    examples: str = ""
    tail: str = ""

    @property
    def summary(self) -> str:
        """The first line of its help."""
        return self.about.partition("\n")[0]

    def run(self, words: Sequence[str]) -> int:
        """Read the words and do it."""
        parser = self.parser()
        rest: list[str] = []
        if self.tail and "--" in words:
            at = list(words).index("--")
            words, rest = words[:at], list(words[at + 1 :])
        read = parser.parse_intermixed_args(list(words))
        if self.tail:
            if not rest:
                parser.error("say what to run, behind two dashes: -- COMMAND [ARGUMENT ...]")
            setattr(read, self.tail, rest)
        return self.do(read) or 0

    def parser(self) -> Parser:
        """The parser of its words."""
        parser = Parser(
            prog=f"petset {self.name}",
            description=self.about,
            epilog=f"examples:\n{self.examples}" if self.examples else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.fill(parser)
        if self.tail:
            parser.usage = (
                f"{parser.format_usage().removeprefix('usage: ').rstrip()} -- COMMAND ..."
            )
        return parser


def between(low: int, high: int) -> Callable[[str], int]:
    """An argument type: a whole number from `low` to `high`."""

    def number(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {low} to {high}")
        return int(text)

    return number


def seconds(text: str) -> float:
    """An argument type: seconds, as in `10`, `10s`, `1.5`."""
    try:
        value = float(text.removesuffix("s"))
    except ValueError:
        value = -1.0
    if not 0 <= value <= 86400:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0 to 86400")
    return value


def name_option(parser: Parser) -> None:
    """Add `--name`, the cluster."""
    parser.add_argument(
        "--name", default="default", metavar="N", help="the cluster's name (default: default)"
    )
