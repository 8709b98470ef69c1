"""Options of list and watch requests, and their rules."""

import base64
import binascii
import re
from dataclasses import dataclass, replace

import orjson

from petset.api.errors import (
    FieldError,
    StatusError,
    bad_request,
    forbidden_field,
    invalid_object,
    not_supported,
    show,
)
from petset.apiserver.route import FALSE, TRUE
from petset.base.http import Request

MATCHES = ("Exact", "NotOlderThan", "")
ENCODING = "meta.k8s.io/v1"
_NUMBER = re.compile(r"[-+]?[0-9]+")
_DIGITS_MAX = 20
_INT64 = range(-(2**63), 2**63)
_UINT64 = 2**64 - 1
TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can "
    "start a new list without the continue parameter, or use the continue token in this response "
    "to retrieve the remainder of the results. Continuing with the provided token results in an "
    "inconsistent list - objects that were created, modified, or deleted between the time the "
    "first chunk was returned and now may show up in the list."
)


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a list or watch.

    Attributes:
        revision: the resourceVersion given, None if none was.
        match: resourceVersionMatch.
        token: the continue token.
        timeout_s: timeoutSeconds, 0 if not given.
        initial: sendInitialEvents, None if not given.
    """

    revision: int | None = None
    match: str = ""
    limit: int = 0
    token: str = ""
    timeout_s: int = 0
    bookmarks: bool = False
    initial: bool | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """Where a list goes on: at key `start`, as of `revision` (-1: as of now)."""

    revision: int
    start: str

    def encode(self) -> str:
        """The token as clients carry it around."""
        body = {"v": ENCODING, "rv": self.revision, "start": self.start}
        return base64.urlsafe_b64encode(orjson.dumps(body)).rstrip(b"=").decode()


def decode_token(text: str, prefix: str) -> Token:
    """The token behind `text`. Raises StatusError 400."""
    try:
        body = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        version = str(body.get("v", ""))
        token = Token(int(body.get("rv", 0)), str(body.get("start", "")))
    except (binascii.Error, ValueError, AttributeError, TypeError, OverflowError):
        raise _bad_token(": the token cannot be decoded") from None
    if version != ENCODING:
        raise _bad_token(f": server does not recognize this encoded version {version}")
    if not token.revision:
        raise _bad_token(f": incorrect encoded start resourceVersion (version {version})")
    if not token.start:
        raise _bad_token(f": encoded start key empty (version {version})")
    if not token.start.startswith(prefix):
        raise _bad_token(f": {token.start}")
    return token


def _bad_token(why: str) -> StatusError:
    return bad_request(f"invalid continue token: continue key is not valid{why}")


def of_request(request: Request, *, watch: bool) -> Options:
    """The options of `request`. Raises StatusError 400 and 422."""
    initial_text = request.param("sendInitialEvents")
    revision = request.param("resourceVersion")
    options = Options(
        match=request.param("resourceVersionMatch"),
        limit=_number(request, "limit"),
        token=request.param("continue"),
        timeout_s=_number(request, "timeoutSeconds"),
        bookmarks=boolean(request, "allowWatchBookmarks"),
        initial=boolean(request, "sendInitialEvents") if initial_text else None,
    )
    faults = _watch_faults(options) if watch else _list_faults(options, revision)
    if faults:
        raise invalid_object("meta.k8s.io", "ListOptions", "", faults)
    if not watch and options.token and revision not in ("", "0"):
        raise bad_request("specifying resource version is not allowed when using continue")
    return replace(options, revision=parse_revision(revision)) if revision else options


def boolean(request: Request, name: str) -> bool:
    """A boolean parameter, in Go's words for it. Raises StatusError 400."""
    text = request.param(name)
    if text in TRUE:
        return True
    if not text or text in FALSE:
        return False
    raise bad_request(
        f'strconv.ParseBool: parsing "{text}": invalid syntax (query parameter {name})'
    )


def _number(request: Request, name: str) -> int:
    text = request.param(name)
    return max(0, integer(text, f" (query parameter {name})")) if text else 0


def integer(text: str, where: str = "") -> int:
    """A 64-bit number of a query, as Go's ParseInt reads it. Raises StatusError 400."""
    if _NUMBER.fullmatch(text) is None:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax{where}')
    if len(text) > _DIGITS_MAX or int(text) not in _INT64:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": value out of range{where}')
    return int(text)


def parse_revision(text: str) -> int:
    """A resourceVersion as Go's ParseUint reads it. Raises StatusError 400."""
    why = ""
    if not (text.isascii() and text.isdigit()):
        why = "invalid syntax"
    elif len(text) > _DIGITS_MAX or int(text) > _UINT64:
        why = "value out of range"
    if why:
        value = f"Invalid value: {show(text)}"
        parsing = f"strconv.ParseUint: parsing {show(text)}: {why}"
        raise bad_request(f"invalid resource version: resourceVersion: {value}: {parsing}")
    return int(text)


def _list_faults(options: Options, revision: str) -> list[FieldError]:
    faults = _match_faults(options, revision) if options.match else []
    if options.initial is not None:
        why = "sendInitialEvents is forbidden for list"
        faults.append(forbidden_field("sendInitialEvents", why))
    return faults


def _match_faults(options: Options, revision: str) -> list[FieldError]:
    faults = []
    match, path = options.match, "resourceVersionMatch"
    if not revision:
        why = "resourceVersionMatch is forbidden unless resourceVersion is provided"
        faults.append(forbidden_field(path, why))
    if options.token:
        why = "resourceVersionMatch is forbidden when continue is provided"
        faults.append(forbidden_field(path, why))
    if match not in MATCHES:
        faults.append(not_supported(path, match, MATCHES))
    if match == "Exact" and revision == "0":
        why = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
        faults.append(forbidden_field(path, why))
    return faults


def _watch_faults(options: Options) -> list[FieldError]:
    path, match, faults = "resourceVersionMatch", options.match, []
    if options.initial is not None and match != "NotOlderThan":
        why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        faults.append(forbidden_field(path, why))
    if match and options.initial is None:
        why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        faults.append(forbidden_field(path, why))
    if match and match != "NotOlderThan":
        faults.append(not_supported(path, match, ("NotOlderThan",)))
    if match and options.token:
        why = "resourceVersionMatch is forbidden when continue is provided"
        faults.append(forbidden_field(path, why))
    return faults


def too_large(wanted: int, current: int) -> StatusError:
    """504: the requested revision does not exist yet."""
    message = f"Timeout: Too large resource version: {wanted}, current: {current}"
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return StatusError(504, "Timeout", message, {"causes": [cause], "retryAfterSeconds": 1})
