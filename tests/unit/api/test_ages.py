"""Ages: the borders of every row of the rule."""

import pytest

from petset.api.ages import age, human

M, H, D = 60, 3600, 86_400


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1.5, "<invalid>"),
        (-1, "0s"),
        (-0.5, "0s"),
        (0, "0s"),
        (119.9, "119s"),
        (2 * M, "2m"),
        (5 * M + 20, "5m20s"),
        (10 * M - 1, "9m59s"),
        (10 * M, "10m"),
        (3 * H - 1, "179m"),
        (3 * H, "3h"),
        (5 * H + 12 * M + 59, "5h12m"),
        (8 * H - 1, "7h59m"),
        (8 * H, "8h"),
        (48 * H - 1, "47h"),
        (48 * H, "2d"),
        (5 * D + 3 * H + 59 * M, "5d3h"),
        (8 * D, "8d"),
        (400 * D, "400d"),
        (2 * 365 * D - 1, "729d"),
        (2 * 365 * D, "2y"),
        (3 * 365 * D + 20 * D, "3y20d"),
        (8 * 365 * D - 1, "7y364d"),
        (8 * 365 * D, "8y"),
        (9 * 365 * D + 100 * D, "9y"),
    ],
)
def test_durations_are_told_in_units_that_matter(seconds: float, text: str) -> None:
    assert human(seconds) == text


def test_age_counts_from_the_timestamp() -> None:
    assert age("1970-01-01T00:00:10Z", 100) == "90s"


@pytest.mark.parametrize("timestamp", [None, "", "yesterday", 5])
def test_age_of_no_time_is_unknown(timestamp: object) -> None:
    assert age(timestamp, 100) == "<unknown>"
