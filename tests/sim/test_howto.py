"""The tests that the how-to shows are run as they stand there."""

import re
from pathlib import Path
from typing import Any

import pytest

HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "test-with-petset.md"
SNIPPETS = re.findall(r"```python\n(.*?)```", HOWTO.read_text(), re.DOTALL)


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_snippets_hold(number: int) -> None:
    names: dict[str, Any] = {}
    exec(compile(SNIPPETS[number], f"{HOWTO.name}:{number}", "exec"), names)
    (test,) = [value for name, value in names.items() if name.startswith("test_")]
    test()
