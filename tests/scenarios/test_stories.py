"""The traces of all stories are the golden ones; `GOLDEN=1` rewrites them."""

from pathlib import Path

import pytest

from tests.scenarios import golden, stage

HERE = Path(__file__).parent
STORIES = sorted(HERE.glob("*/stories/*.yaml"))


@pytest.mark.timeout(300)  # virtual time: it takes a processor, and waits for nothing
@pytest.mark.parametrize("path", STORIES, ids=lambda p: f"{p.parent.parent.name}-{p.stem}")
def test_stories_lead_to_the_golden_traces(path: Path) -> None:
    golden.compare(path.with_suffix(".trace"), stage.render(path))


def test_every_golden_trace_has_its_stories() -> None:
    assert STORIES
    assert {p.with_suffix(".yaml") for p in HERE.glob("*/stories/*.trace")} == set(STORIES)
