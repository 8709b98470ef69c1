"""The source files, parsed once."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

SRC = Path(__file__).parents[2] / "src" / "petset"


@functools.cache
def modules() -> dict[str, ast.Module]:
    """Every module by its path below src/petset, with `/` between parts."""
    found = sorted(SRC.rglob("*.py"))
    assert len(found) > 100
    return {str(p.relative_to(SRC)): ast.parse(p.read_text(), str(p)) for p in found}


def imports(tree: ast.AST) -> Iterator[str]:
    """The dotted names of all imported modules and objects."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def dotted(node: ast.AST) -> str:
    """`a.b.c` of a name or attribute, "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Every call with the dotted name of what is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield dotted(node.func), node
