"""Pauses between the plans of one key."""

from petset.reconcile.actions import Delete, Emit, Plan
from petset.reconcile.pauses import EXPENSIVE_S, FACTOR, GROWTH_MAX, PAUSE_MAX_S, SOON_S, Pauses

TELLS = Plan((Emit({}, "Normal", "Told", "m"),))
DOES = Plan((Delete("pods", "default", "x"),))


def plan_again(pauses: Pauses, key: str, now: float, plan: Plan, took: float = 0.01) -> float:
    """Plan `key` as soon as its pause allows; when the plan has ended."""
    began = now + max(0.0, pauses.left(key, now))
    pauses.planned(key, began, began + took, plan)
    return began + took


def test_a_cheap_plan_is_followed_by_no_pause() -> None:
    pauses = Pauses()
    now = plan_again(pauses, "a", 0.0, TELLS, took=EXPENSIVE_S / 2)
    assert pauses.left("a", now) <= 0
    now = plan_again(pauses, "a", now, TELLS, took=0.0)
    assert pauses.left("a", now) <= 0


def test_an_expensive_plan_delays_its_own_key_only() -> None:
    pauses = Pauses()
    now = plan_again(pauses, "a", 0.0, DOES)
    assert abs(pauses.left("a", now) - 0.01 * FACTOR) < 1e-9
    assert pauses.left("b", now) <= 0
    pauses.forget("a")
    assert pauses.left("a", now) <= 0


def test_pauses_grow_while_plans_only_tell_up_to_a_limit() -> None:
    pauses, now, lengths = Pauses(), 0.0, []
    for _ in range(8):
        now = plan_again(pauses, "a", now, TELLS)
        lengths.append(round(pauses.left("a", now), 6))
    assert lengths == sorted(lengths)
    assert abs(lengths[0] - 0.01 * FACTOR) < 1e-9
    assert abs(lengths[-1] - 0.01 * FACTOR * GROWTH_MAX) < 1e-9


def test_a_plan_that_does_something_ends_the_growth() -> None:
    pauses, now = Pauses(), 0.0
    for _ in range(8):
        now = plan_again(pauses, "a", now, TELLS)
    now = plan_again(pauses, "a", now, DOES)
    assert abs(pauses.left("a", now) - 0.01 * FACTOR) < 1e-9


def test_a_quiet_moment_ends_the_growth() -> None:
    pauses, now = Pauses(), 0.0
    for _ in range(8):
        now = plan_again(pauses, "a", now, TELLS)
    now += pauses.left("a", now) + SOON_S + 0.1
    now = plan_again(pauses, "a", now, TELLS)
    assert abs(pauses.left("a", now) - 0.01 * FACTOR) < 1e-9


def test_many_busy_keys_wait_for_longer_each_but_never_beyond_the_limit() -> None:
    pauses, lengths = Pauses(), []
    for number in range(100):
        pauses.planned(f"k{number}", 0.0, 0.01, DOES)
        lengths.append(pauses.left(f"k{number}", 0.01))
    assert lengths == sorted(lengths)
    assert lengths[1] > lengths[0]
    assert PAUSE_MAX_S - 1e-9 < lengths[-1] <= PAUSE_MAX_S
