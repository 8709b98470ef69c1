"""Times of HTTP headers, against the standard library's."""

from email.utils import formatdate

from hypothesis import given
from hypothesis import strategies as st

from petset.base import httpdate


@given(st.integers(0, 253_402_300_799))
def test_dates_are_written_as_by_the_standard_library(seconds: int) -> None:
    assert httpdate.text(seconds) == formatdate(seconds, usegmt=True)
