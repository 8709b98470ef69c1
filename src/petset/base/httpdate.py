"""Times as HTTP headers have them (RFC 9110, 5.6.7). (`email.utils` takes 5 ms to load.)"""

from datetime import UTC, datetime

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def text(seconds: float) -> str:
    """`seconds` since the Unix epoch as in `Sun, 06 Nov 1994 08:49:37 GMT`."""
    at = datetime.fromtimestamp(seconds, UTC)
    day, month = _DAYS[at.weekday()], _MONTHS[at.month - 1]
    return f"{day}, {at.day:02} {month} {at.year:04} {at:%H:%M:%S} GMT"
