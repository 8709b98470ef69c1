"""Calls that have one place only, or none."""

import ast
import re

import pytest

from tests.tidy.sources import SRC, calls, dotted, imports, modules

WALL_CLOCK = re.compile(
    r"time\.(time|time_ns|localtime|gmtime|strftime)|(.*\.)?(datetime|date)\.(now|utcnow|today)"
)

CLOCK_PLACES = {
    "base/clock.py": "the place for it",
    "base/log.py": "log lines carry the machine's own time",
    "cli/pki.py": "when certificates begin to be valid",
}

RANDOM_PLACES = {
    "base/ids.py": "the place for it",
    "base/websocket.py": "the key that a client offers has to be unpredictable",
    "node/images/local.py": "names of folders that are moved into place or away",
}

BROAD_PLACES = {
    "reconcile/loop.py": "a bug in one plan is logged and retried; the other keys go on",
    "apiserver/app.py": "a bug in one request is answered with 500; the others go on",
    "base/http1.py": "the seam's promise: a bug in a handler costs its own request or stream only",
    "base/tasks.py": "the supervisor: a bug kills one task, not the process",
    "scheduler/scheduler.py": "a pod that brings the planner down backs off; the others go on",
}

CREATORS = ("asyncio.create_task", "asyncio.ensure_future", "loop.create_task")


def test_exceptions_to_the_rules_exist() -> None:
    assert set(modules()) >= {*CLOCK_PLACES, *RANDOM_PLACES, *BROAD_PLACES}


@pytest.mark.parametrize("path", list(modules()))
def test_the_wall_clock_is_read_in_one_place(path: str) -> None:
    if path not in CLOCK_PLACES:
        found = [name for name, _ in calls(modules()[path]) if WALL_CLOCK.fullmatch(name)]
        assert not found


@pytest.mark.parametrize("path", list(modules()))
def test_randomness_is_passed_in(path: str) -> None:
    if path not in RANDOM_PLACES:
        drawn = [n for n, _ in calls(modules()[path]) if re.match(r"(random|secrets|uuid)\.\w", n)]
        assert not drawn
        assert not [n for n in imports(modules()[path]) if n.split(".")[0] in ("secrets", "uuid")]


@pytest.mark.parametrize("path", list(modules()))
def test_only_the_command_line_prints(path: str) -> None:
    if not path.startswith("cli/"):
        assert not [call.lineno for name, call in calls(modules()[path]) if name == "print"]


@pytest.mark.parametrize("path", list(modules()))
def test_no_task_is_lost(path: str) -> None:
    """A task whose value nobody keeps may be collected while it runs, and its failure is silent."""
    lost = [
        node.lineno
        for node in ast.walk(modules()[path])
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and dotted(node.value.func) in CREATORS
    ]
    assert not lost


@pytest.mark.parametrize("path", list(modules()))
def test_bugs_are_caught_where_the_house_says(path: str) -> None:
    if path in BROAD_PLACES:
        return
    broad = [
        node.lineno
        for node in ast.walk(modules()[path])
        if isinstance(node, ast.ExceptHandler)
        and not _raises(node)
        and (node.type is None or dotted(node.type) == "Exception")
    ]
    assert not broad


def _raises(handler: ast.ExceptHandler) -> bool:
    """Whether a handler always ends by raising, so that nothing is swallowed."""
    return isinstance(handler.body[-1], ast.Raise)


@pytest.mark.parametrize(
    "package", sorted({str(p.parent.relative_to(SRC)) for p in SRC.rglob("*.py")})
)
def test_every_package_has_a_sign_and_no_code_in_it(package: str) -> None:
    name = "__init__.py" if package == "." else f"{package}/__init__.py"
    assert name in modules(), f"{package} has no sign"
    body = modules()[name].body
    assert len(body) == 1
    assert ast.get_docstring(modules()[name])
