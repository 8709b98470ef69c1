"""What the walks have to contain: every command that kubectl has, and what it is promised to do."""

import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

_HEADING = re.compile(r"[A-Z].*:")
_COMMAND = re.compile(r"  ([a-z][\w-]*) +\S")

UNLISTED = ["options"]
"""Commands that no help text lists."""

LATER = {
    "top pod --containers": r"Metrics API not available",
    "top node": r"Metrics API not available",
    "create token default": r"petset does not support serviceaccounts/token yet",
    "certificate approve, deny": r"petset does not support \S+/approval yet",
    "debug": r"petset does not support pods/ephemeralcontainers yet",
    "debug node/node-1": r"petset does not support hostIPC yet",
}
"""What is refused, until it is built, and in which words. All else works."""

PROMISED = """
version
api-resources
api-versions
explain --recursive
explain --output=plaintext-openapiv2
get pods
get -o wide
get -o yaml
get -o json
get -o name
get -o jsonpath=
get -o custom-columns=
get -o go-template=
get -w
get -A
get -l
get --field-selector=
get --sort-by=
get --show-labels
get --chunk-size=
describe pod
create -f
apply -f
apply --server-side
apply --server-side conflict --force-conflicts
apply --prune
apply --dry-run=server
apply --dry-run=client
apply --validate=strict --validate=warn --validate=ignore
apply kind: List
apply -k
diff -f
replace -f
replace --force
edit
patch --type=json
patch --type=merge
patch --type=strategic
label
annotate
set image
set env
set resources
set selector
set serviceaccount
scale
rollout status
rollout history
rollout undo
rollout restart
rollout pause resume
delete --cascade= background foreground orphan
delete --wait
delete --force --grace-period=0
wait --for=condition=
wait --for=jsonpath
wait --for=delete
wait --for=create
logs -f
logs --previous
logs -l
logs -c
logs --tail=
logs --since=
logs --since-time=
logs --timestamps
logs --limit-bytes=
logs --all-containers
logs --all-pods
logs --prefix
logs --max-log-requests= --ignore-errors
exec -it
exec -it resize
exec standard input ends
exec exit code
exec SPDY
attach
cp to a pod and back
port-forward WebSocket
port-forward SPDY
proxy
run
expose
events
drain
cordon uncordon
taint
cluster-info
config view
kustomize
"""
"""A command, and words that stand in the same step."""


def commands(binary: Path) -> list[str]:
    """Every command of a kubectl, as its help texts list them: `create secret tls`."""
    return [*_below(binary, ()), *UNLISTED]


def _below(binary: Path, words: tuple[str, ...]) -> Iterator[str]:
    told = subprocess.run([binary, *words, "--help"], capture_output=True, text=True, check=True)
    listed = list(_listed(told.stdout))
    if words and not listed:
        yield " ".join(words)
    for name in listed:
        yield from _below(binary, (*words, name))


def _listed(text: str) -> Iterator[str]:
    """The names below headings such as `Available Commands:`."""
    wanted = False
    for line in text.splitlines():
        if _HEADING.fullmatch(line):
            wanted = "Commands" in line
        elif wanted and (found := _COMMAND.match(line)):
            yield found[1]


def untried(wanted: Iterable[str], tried: Iterable[str]) -> list[str]:
    """The commands that none of the command lines `tried` gives."""
    lines = [f" {line} " for line in tried]
    return [command for command in wanted if not any(f" {command} " in line for line in lines)]


def unkept(titles: Iterable[str]) -> list[str]:
    """The promises that no step is about."""
    steps = list(titles)
    return [p for p in PROMISED.strip().splitlines() if not any(_is_about(s, p) for s in steps)]


def _is_about(step: str, promise: str) -> bool:
    command, *rest = promise.split()
    return step.split()[0].rstrip(",") == command and all(word in step for word in rest)
