"""Calls that have one place only, or none."""

import ast
import re
from collections.abc import Callable, Collection, Iterable

from tests.tidy.sources import SRC, calls, dotted, imports, modules

WALL_CLOCK = re.compile(
    r"time\.(time|time_ns|localtime|gmtime|strftime)|(.*\.)?(datetime|date)\.(now|utcnow|today)"
)

CLOCK_PLACES = {
    "base/clock.py": "the place for it",
    "base/log.py": "log lines carry the machine's own time",
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
    "scheduler/scheduler.py": "a pod that brings the planner down backs off; the others go on",
}

CREATORS = ("asyncio.create_task", "asyncio.ensure_future", "loop.create_task")


def test_exceptions_to_the_rules_exist() -> None:
    assert set(modules()) >= {*CLOCK_PLACES, *RANDOM_PLACES, *BROAD_PLACES}


def _faults(find: Callable[[ast.Module], Iterable[object]], exempt: Collection[str]) -> list[str]:
    """`path: fault` of every fault that `find` tells of a module."""
    return [
        f"{path}: {fault}"
        for path, tree in modules().items()
        if path not in exempt
        for fault in find(tree)
    ]


def test_the_wall_clock_is_read_in_one_place() -> None:
    def find(tree: ast.Module) -> list[str]:
        return [name for name, _ in calls(tree) if WALL_CLOCK.fullmatch(name)]

    assert not _faults(find, CLOCK_PLACES)


def test_randomness_is_passed_in() -> None:
    def find(tree: ast.Module) -> list[str]:
        drawn = [name for name, _ in calls(tree) if re.match(r"(random|secrets|uuid)\.\w", name)]
        return drawn + [n for n in imports(tree) if n.split(".")[0] in ("secrets", "uuid")]

    assert not _faults(find, RANDOM_PLACES)


def test_only_the_command_line_prints() -> None:
    def find(tree: ast.Module) -> list[int]:
        return [call.lineno for name, call in calls(tree) if name == "print"]

    assert not _faults(find, [path for path in modules() if path.startswith("cli/")])


def test_no_task_is_lost() -> None:
    """A task whose value nobody keeps may be collected while it runs, and its failure is silent."""

    def find(tree: ast.Module) -> list[int]:
        statements = [n.value for n in ast.walk(tree) if isinstance(n, ast.Expr)]
        dropped = [value for value in statements if isinstance(value, ast.Call)]
        return [call.lineno for call in dropped if dotted(call.func) in CREATORS]

    assert not _faults(find, ())


def test_bugs_are_caught_where_the_house_says() -> None:
    def find(tree: ast.Module) -> list[int]:
        handlers = [n for n in ast.walk(tree) if isinstance(n, ast.ExceptHandler)]
        return [h.lineno for h in handlers if _is_broad(h) and not _raises(h)]

    assert not _faults(find, BROAD_PLACES)


def _is_broad(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or dotted(handler.type) == "Exception"


def _raises(handler: ast.ExceptHandler) -> bool:
    """Whether a handler always ends by raising, so that nothing is swallowed."""
    return isinstance(handler.body[-1], ast.Raise)


def test_every_package_has_a_sign_and_no_code_in_it() -> None:
    for package in {path.parent for path in SRC.rglob("*.py")}:
        name = str((package / "__init__.py").relative_to(SRC))
        assert name in modules(), f"{package} has no sign"
        assert ast.get_docstring(modules()[name]), f"{name} says nothing"
        assert len(modules()[name].body) == 1, f"{name} holds code"
