"""API errors: the `Status` object as an exception, and causes with field paths.

Raised by the server, rebuilt by the client as the same class. Words and shapes follow upstream's
Status catalogue (kinds of `reason`, HTTP codes, cause reasons).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson


def show(value: object) -> str:
    """A value as error messages quote it: JSON."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return str(value)


@dataclass(frozen=True, slots=True)
class FieldError:
    """One cause of an Invalid answer: where, what kind of fault, and the words."""

    field: str
    reason: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


def required(path: str, detail: str = "") -> FieldError:
    """A field that has to be there is not."""
    return FieldError(
        path, "FieldValueRequired", f"Required value{': ' + detail if detail else ''}"
    )


def invalid(path: str, value: object, detail: str = "") -> FieldError:
    """A value breaks a rule."""
    words = f"Invalid value: {show(value)}{': ' + detail if detail else ''}"
    return FieldError(path, "FieldValueInvalid", words)


def duplicate(path: str, value: object, detail: str = "") -> FieldError:
    """A value that must be unique is there twice."""
    words = f"Duplicate value: {show(value)}{': ' + detail if detail else ''}"
    return FieldError(path, "FieldValueDuplicate", words)


def forbidden_field(path: str, detail: str) -> FieldError:
    """A field may not be set or changed here."""
    return FieldError(path, "FieldValueForbidden", f"Forbidden: {detail}")


def not_supported(path: str, value: object, allowed: Sequence[str]) -> FieldError:
    """A value is not one of the allowed ones."""
    words = ", ".join(show(a) for a in allowed)
    return FieldError(
        path,
        "FieldValueNotSupported",
        f"Unsupported value: {show(value)}: supported values: {words}",
    )


def too_long(path: str, limit: int) -> FieldError:
    """A value is longer than `limit` bytes."""
    return FieldError(path, "FieldValueTooLong", f"Too long: may not be more than {limit} bytes")


def too_many(path: str, count: int, limit: int) -> FieldError:
    """A list has more than `limit` elements."""
    words = f"Too many: {count}: must have at most {limit} items"
    return FieldError(path, "FieldValueTooMany", words)


def not_found_field(path: str, value: object) -> FieldError:
    """A value names something that is not there."""
    return FieldError(path, "FieldValueNotFound", f"Not found: {show(value)}")


class StatusError(Exception):
    """An answer that is a Status of failure.

    Attributes:
        code: HTTP status code.
        reason: CamelCase reason, "" where upstream gives none.
        message: text for people.
        details: the Status' details mapping, possibly empty.
    """

    def __init__(
        self, code: int, reason: str, message: str, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details: Mapping[str, Any] = details or {}

    def status(self) -> dict[str, Any]:
        """The Status object as sent."""
        body: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            body["reason"] = self.reason
        if self.details:
            body["details"] = dict(self.details)
        body["code"] = self.code
        return body


def from_status(body: Mapping[str, Any], code: int) -> StatusError:
    """Rebuild the error from a Status object that came with HTTP `code`."""
    return StatusError(
        int(body.get("code") or code),
        body.get("reason") or "",
        body.get("message") or "",
        body.get("details") or {},
    )


def _named(resource: str, name: str, kind: str | None = None) -> dict[str, Any]:
    plural, _, group = resource.partition(".")
    details: dict[str, Any] = {}
    if name:
        details["name"] = name
    if group:
        details["group"] = group
    details["kind"] = kind or plural
    return details


def not_found(resource: str, name: str) -> StatusError:
    """404: no object `name` of `resource` (`pods`, `statefulsets.apps`)."""
    return StatusError(404, "NotFound", f'{resource} "{name}" not found', _named(resource, name))


def already_exists(resource: str, name: str) -> StatusError:
    """409: the name is taken."""
    return StatusError(
        409, "AlreadyExists", f'{resource} "{name}" already exists', _named(resource, name)
    )


MODIFIED = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


def conflict(resource: str, name: str, why: str = MODIFIED) -> StatusError:
    """409: the write was decided on another state than the present one."""
    return StatusError(
        409,
        "Conflict",
        f'Operation cannot be fulfilled on {resource} "{name}": {why}',
        _named(resource, name),
    )


def forbidden(resource: str, name: str, why: str) -> StatusError:
    """403: refused, `why` in words."""
    what = f'{resource} "{name}"' if name else resource
    return StatusError(403, "Forbidden", f"{what} is forbidden: {why}", _named(resource, name))


def bad_request(message: str) -> StatusError:
    """400: the request itself makes no sense."""
    return StatusError(400, "BadRequest", message)


def invalid_object(group: str, kind: str, name: str, errors: Sequence[FieldError]) -> StatusError:
    """422: the object breaks rules; every cause is named."""
    texts = [str(e) for e in errors]
    joined = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    qualified = f"{kind}.{group}" if group else kind
    details: dict[str, Any] = {"name": name} if name else {}
    if group:
        details["group"] = group
    details["kind"] = kind
    details["causes"] = [
        {"reason": e.reason, "message": e.message, "field": e.field} for e in errors
    ]
    return StatusError(422, "Invalid", f'{qualified} "{name}" is invalid: {joined}', details)


def expired(message: str) -> StatusError:
    """410: the revision or continue token is too old."""
    return StatusError(410, "Expired", message)


def method_not_allowed() -> StatusError:
    """405: this resource does not know the verb."""
    return StatusError(
        405, "MethodNotAllowed", "the server does not allow this method on the requested resource"
    )


def unsupported_media_type(accepted: Sequence[str]) -> StatusError:
    """415: a body of an unknown type."""
    return StatusError(
        415,
        "UnsupportedMediaType",
        "the body of the request was in an unknown format - accepted media types include: "
        + ", ".join(accepted),
    )


def not_acceptable(accepted: Sequence[str]) -> StatusError:
    """406: no media type that the client accepts can be made."""
    return StatusError(
        406,
        "NotAcceptable",
        "only the following media types are accepted: " + ", ".join(accepted),
    )


def too_large(limit: int) -> StatusError:
    """413: the body is over the limit, in bytes."""
    return StatusError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {limit}")


def too_many_requests(message: str, retry_after_s: int = 0, causes: Any = ()) -> StatusError:
    """429: try again later."""
    details: dict[str, Any] = {}
    if causes:
        details["causes"] = list(causes)
    if retry_after_s:
        details["retryAfterSeconds"] = retry_after_s
    return StatusError(429, "TooManyRequests", message, details)


def internal(message: str) -> StatusError:
    """500: something broke inside."""
    return StatusError(
        500,
        "InternalError",
        f"Internal error occurred: {message}",
        {"causes": [{"message": message}]},
    )


def unavailable(message: str) -> StatusError:
    """503: the server cannot do this at present."""
    return StatusError(503, "ServiceUnavailable", message)


def timeout(message: str) -> StatusError:
    """504: it took too long."""
    return StatusError(504, "Timeout", f"Timeout: {message}")


def not_implemented(what: str) -> StatusError:
    """501-class refusal of a feature that petset does not have yet, by name."""
    return StatusError(501, "NotImplemented", f"petset does not support {what} yet")
