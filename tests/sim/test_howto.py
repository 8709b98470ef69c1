"""The tests that the how-to shows are run as they stand there."""

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from petset.testing.plugin import (
    petset_cluster as petset_cluster,
)
from petset.testing.plugin import (
    petset_kubeconfig as petset_kubeconfig,
)
from petset.testing.plugin import (
    petset_options as petset_options,
)
from petset.testing.plugin import (
    petset_session_cluster as petset_session_cluster,
)

HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "test-with-petset.md"
SNIPPETS = re.findall(r"```python\n(.*?)```", HOWTO.read_text(), re.DOTALL)


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_snippets_hold(number: int, request: pytest.FixtureRequest) -> None:
    names: dict[str, Any] = {}
    exec(compile(SNIPPETS[number], f"{HOWTO.name}:{number}", "exec"), names)
    (test,) = [value for name, value in names.items() if name.startswith("test_")]
    test(**{name: request.getfixturevalue(name) for name in inspect.signature(test).parameters})
