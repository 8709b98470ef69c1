"""Files and functions stay small. What is over the limit is listed with its number, which may only
fall; what is below the limit again leaves the list."""

import ast

import pytest

from tests.tidy.sources import SRC, modules

FILE_MAX, FUNCTION_MAX = 500, 60

LONG_FILES: dict[str, int] = {}

LONG_FUNCTIONS: dict[str, int] = {}


def _lines(path: str) -> int:
    return len((SRC / path).read_text().splitlines())


@pytest.mark.parametrize("path", list(modules()))
def test_files_stay_small(path: str) -> None:
    assert _lines(path) <= LONG_FILES.get(path, FILE_MAX)


@pytest.mark.parametrize("path", list(modules()))
def test_functions_stay_small(path: str) -> None:
    long = []
    for node in ast.walk(modules()[path]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > LONG_FUNCTIONS.get(f"{path}:{node.name}", FUNCTION_MAX):
                long.append(f"{node.name}: {length}")
    assert not long


def test_the_lists_name_only_what_is_over_the_limit() -> None:
    assert all(_lines(path) > FILE_MAX for path in LONG_FILES)
    for place in LONG_FUNCTIONS:
        path, _, name = place.partition(":")
        found = [
            (n.end_lineno or 0) - n.lineno + 1
            for n in ast.walk(modules()[path])
            if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef) and n.name == name
        ]
        assert max(found) > FUNCTION_MAX
