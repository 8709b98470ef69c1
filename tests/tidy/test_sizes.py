"""Files and functions stay small. What is over the limit is listed with its number, which may only
fall; what is below the limit again leaves the list."""

import ast

from tests.tidy.sources import SRC, modules

FILE_MAX, FUNCTION_MAX = 500, 60

LONG_FILES: dict[str, int] = {}

LONG_FUNCTIONS: dict[str, int] = {}


def _lines(path: str) -> int:
    return len((SRC / path).read_text().splitlines())


def _functions(path: str) -> list[tuple[str, int]]:
    """Name and length of every function of a module."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [n for n in ast.walk(modules()[path]) if isinstance(n, kinds)]
    return [(n.name, (n.end_lineno or n.lineno) - n.lineno + 1) for n in nodes]


def test_files_stay_small() -> None:
    lengths = {path: _lines(path) for path in modules()}
    assert not {p: n for p, n in lengths.items() if n > LONG_FILES.get(p, FILE_MAX)}


def test_functions_stay_small() -> None:
    found = [(f"{path}:{name}", n) for path in modules() for name, n in _functions(path)]
    assert not [(p, n) for p, n in found if n > LONG_FUNCTIONS.get(p, FUNCTION_MAX)]


def test_the_lists_name_only_what_is_over_the_limit() -> None:
    assert all(_lines(path) > FILE_MAX for path in LONG_FILES)
    for place in LONG_FUNCTIONS:
        path, _, name = place.partition(":")
        assert max(n for found, n in _functions(path) if found == name) > FUNCTION_MAX
