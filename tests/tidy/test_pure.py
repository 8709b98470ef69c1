"""The pure list: files that decide never act. Imports and syntax; import-linter checks the rest."""

import ast
import re

from tests.tidy.sources import calls, imports, modules

PURE = re.compile(
    r"""
    api/.* | .*/plan\.py | controllers/[^/]+/(?!controller\.py)[^/]+
    | reconcile/(actions|owners|podtemplate|revisions|conditions)\.py
    | scheduler/plugins/.* | node/(status|plan|seen|podspec)\.py
    | dns/(answer|wire|index)\.py | proxy/(rules|nftables)\.py
    """,
    re.VERBOSE,
)

EXEMPT = {
    # does what its plan says to the disk; only controller.py uses it
    "controllers/volumebinder/directories.py",
    # opens its data files once, at import
    "api/schema.py",
}

ACTING = {
    "aiohttp",
    "asyncio",
    "os",
    "random",
    "socket",
    "sqlite3",
    "subprocess",
    "time",
}

WAITING = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)

CLOCKS = re.compile(r"(.*\.)?(datetime|date)\.(now|utcnow|today)")


def pure_files() -> list[str]:
    return [path for path in modules() if PURE.fullmatch(path) and path not in EXEMPT]


def test_the_list_is_not_empty_and_exemptions_exist() -> None:
    assert len(pure_files()) > 60
    assert set(modules()) >= EXEMPT


def test_pure_files_neither_wait_nor_act() -> None:
    faults = {path: _faults(modules()[path]) for path in pure_files()}
    assert not {path: found for path, found in faults.items() if found}


def _faults(tree: ast.Module) -> list[str]:
    faults = [f"imports {name}" for name in imports(tree) if name.split(".")[0] in ACTING]
    faults += [f"line {n.lineno}: async" for n in ast.walk(tree) if isinstance(n, WAITING)]
    faults += [
        f"line {call.lineno}: {name}()"
        for name, call in calls(tree)
        if name in ("open", "print", "input") or CLOCKS.fullmatch(name)
    ]
    return faults
