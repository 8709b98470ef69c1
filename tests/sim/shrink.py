"""Makes a failing story short: leaves out whatever it fails without."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.sim.history import live
from tests.sim.story import Story

Fails = Callable[[Story], bool]


def shortest(story: Story, fails: Fails | None = None) -> Story:
    """A story that fails as this one does, in which nothing can be left out.

    Args:
        fails: whether a story fails; by default, whether it breaks a rule in the same words, but
            for names and numbers.
    """
    judge = fails or _same(story)
    while (shorter := next(filter(judge, _shorter(story)), None)) is not None:
        story = shorter
    return story


def _same(story: Story) -> Fails:
    wanted = _gist(live(story).faults[0])
    return lambda other: any(_gist(fault) == wanted for fault in live(other).faults[:1])


def _gist(fault: str) -> str:
    """A fault without what differs from run to run."""
    words = [w for w in fault.split() if not any(c.isdigit() for c in w)]
    return " ".join(words)[:80]


def _shorter(story: Story) -> Iterator[Story]:
    steps = story.steps
    size = len(steps)
    while size:
        for start in range(0, len(steps), size):
            yield replace(story, steps=steps[:start] + steps[start + size :])
        size //= 2
    for name in story.sets:
        left = {k: v for k, v in story.sets.items() if k != name}
        if left and not any(step.target == name for step in steps):
            yield replace(story, sets=left)
    if story.nodes > 1:
        yield replace(story, nodes=story.nodes - 1)
    yield from _plainer(story)


def _plainer(story: Story) -> Iterator[Story]:
    plain = Story(seed=story.seed)
    for name in ("lag_s", "disk_s", "beat_s", "history_bytes", "pace", "cpu"):
        if getattr(story, name) != getattr(plain, name):
            yield replace(story, **{name: getattr(plain, name)})
    for index, step in enumerate(story.steps):
        if step.wait_s:
            quick = replace(step, wait_s=0.0)
            yield replace(story, steps=(*story.steps[:index], quick, *story.steps[index + 1 :]))
