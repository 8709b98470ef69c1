"""The `petset` command: finds the command, reads its words, runs it.

Invariant: what a command does not need is not imported: `petset up` has to be quick.
"""

import sys
from collections.abc import Sequence

from petset.cli import cluster_words, object_words
from petset.cli.failure import Failure
from petset.cli.words import Command

GROUPS = (
    ("Clusters of this machine", cluster_words.CLUSTER),
    ("Nodes of a cluster", cluster_words.NODE),
    ("Images of this machine", cluster_words.IMAGE),
    ("Objects of a cluster (for machines without kubectl)", object_words.COMMANDS),
)
COMMANDS = {command.name: command for _, commands in GROUPS for command in commands}
EX_USAGE = 2


def main() -> None:
    """Run the command line and end with its exit code."""
    try:
        code = run(sys.argv[1:])
        sys.stdout.flush()
    except Failure as failure:
        print(f"petset: {failure}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone; nothing is left to say
        code = 141
    except OSError as error:
        print(f"petset: {error}", file=sys.stderr)
        code = 1
    sys.exit(code)


def run(words: Sequence[str]) -> int:
    """Run one command in this process; its exit code.

    Raises Failure when it cannot go on, and SystemExit (2) for words that make no sense.
    """
    if not words or words[0] in {"-h", "--help", "help"}:
        print(_overview())
        return 0 if words else EX_USAGE
    if words[0] == "--version":
        words = ["version"]
    command = COMMANDS.get(" ".join(words[:2])) or COMMANDS.get(words[0])
    if command is None:
        return _unknown(words)
    return command.run(words[len(command.name.split()) :])


def _unknown(words: Sequence[str]) -> int:
    below = [c for c in COMMANDS.values() if c.name.split()[0] == words[0]]
    if below and (len(words) == 1 or words[1] in {"-h", "--help", "help"}):
        print(f"Usage: petset {words[0]} COMMAND\n\n{_listing(below)}")
        return 0 if len(words) > 1 else EX_USAGE
    said = " ".join(words[:2]) if below else words[0]
    print(f"petset: there is no command {said!r}\n  see: petset --help", file=sys.stderr)
    return EX_USAGE


def _overview() -> str:
    parts = ["petset: a Kubernetes-compatible orchestrator for stateful applications.", ""]
    parts += ["Usage: petset COMMAND ...", ""]
    for title, commands in GROUPS:
        parts += [f"{title}:", _listing(commands), ""]
    parts += ["`petset COMMAND --help` tells more about one of them."]
    return "\n".join(parts)


def _listing(commands: Sequence[Command]) -> str:
    return "\n".join(f"  {c.name:<12} {c.summary}" for c in commands)
