"""What may become of single requests on their way to the server and back.

The hard ones are those of which the asker cannot know what they did: the answer was lost after the
server had done its work, or the request arrives when nobody waits for it any more.
"""

import enum
from dataclasses import dataclass

from petset.api import errors
from petset.api.errors import StatusError
from petset.apiserver import answer
from petset.base.http import Response

LATE_MAX_S = 20.0
"""How long a request may be under way that its asker has given up."""


class How(enum.Enum):
    """What goes wrong with a request."""

    UNREACHED = "it never gets there, and the asker is told at once"
    UNANSWERED = "the server does it, and the answer is lost"
    LATER = "the asker gives up, and the server gets it later"
    SLOW = "it takes seconds"
    BUSY = "429"
    AWAY = "503"
    BROKEN = "500"


@dataclass(slots=True)
class Trouble:
    """Requests that go wrong.

    Attributes:
        how: what happens to each.
        left: so many more are hit.
        who: the part of the process whose requests are hit, "" for all.
        writes: only writes are hit.
    """

    how: How
    left: int
    who: str = ""
    writes: bool = True

    def strikes(self, who: str, method: str) -> bool:
        """Whether a request is hit; it is counted."""
        if not self.left or self.who not in ("", who) or (self.writes and method == "GET"):
            return False
        self.left -= 1
        return True


def refusal(how: How) -> Response | None:
    """What the server answers instead of doing it; None where it does something."""
    error = _ERRORS.get(how)
    return None if error is None else answer.status_answer(error)


_ERRORS: dict[How, StatusError] = {
    How.BUSY: errors.too_many_requests(
        "the server has received too many requests and has asked us to try again later"
    ),
    How.AWAY: errors.unavailable("the server is currently unable to handle the request"),
    How.BROKEN: errors.internal("injected fault"),
}
