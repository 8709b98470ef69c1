"""Encoding answers of one object, in the form that was negotiated.

Invariant: in plain JSON, what the store keeps is sent as it is, without decoding.
"""

import gzip
import importlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import orjson

from petset.api import table
from petset.api.errors import StatusError, bad_request
from petset.api.kind import Behaviour
from petset.api.meta import MutableObj, Obj
from petset.apiserver import binary
from petset.apiserver.call import Call
from petset.apiserver.negotiate import (
    JSON,
    OTHER,
    PROTOBUF,
    YAML,
    Format,
    accepts_gzip,
    choose,
    wants_indent,
)
from petset.base.http import Headers, Response

Include = Literal["Metadata", "Object", "None"]
JSON_HEADERS = (("Content-Type", JSON),)
YAML_HEADERS = (("Content-Type", YAML),)
GZIP_HEADERS = (("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding"))
GZIP_MIN_BYTES = 128 * 1024
YAML_MAX_BYTES = 128 * 1024
"""JSON of up to this size is written anew as YAML."""


def status_answer(error: StatusError) -> Response:
    """The answer that tells `error`."""
    headers = list(JSON_HEADERS)
    if retry := error.details.get("retryAfterSeconds"):
        headers.append(("Retry-After", str(retry)))
    return Response(error.code, headers, orjson.dumps(error.status()))


def success(details: Mapping[str, Any] | None = None, code: int = 0) -> dict[str, Any]:
    """A Status of success."""
    body: dict[str, Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
    }
    if details:
        body["details"] = dict(details)
    if code:
        body["code"] = code
    return body


def stored(call: Call, value: bytes, status: int = 200) -> Response:
    """One object that the store keeps, as it is or converted to the version asked for."""
    form = call.format.form
    if not form:
        return encoded(call, call.served(value), status)
    obj = orjson.loads(value)
    if not call.route.converts:
        return value_of(call, obj, status)
    if form == "Table":  # cells are made of the stored form
        shown = _table(call, obj, call.outward(obj))
        return encoded(call, orjson.dumps(shown), status)
    return value_of(call, call.outward(obj), status)


def value_of(call: Call, obj: Obj, status: int = 200) -> Response:
    """One object, decoded. Statuses stay what they are in every form."""
    shape = call.format
    if shape.form == "Table" and obj.get("kind") != "Status":
        obj = _table(call, obj, obj)
    elif shape.form and obj.get("kind") != "Status":
        obj = table.partial(obj, shape.version)
    return encoded(call, orjson.dumps(obj), status)


def _table(call: Call, obj: Obj, served: Obj) -> Obj:
    """The Table of one object, which clients see as `served`."""
    now, include = call.backend.clock.now(), include_of(call)
    made = table.of_one(behaviour_of(call), obj, now, include, call.format.version)
    return with_objects(made, [served]) if include == "Object" else made


def with_objects(made: MutableObj, served: Sequence[Obj]) -> MutableObj:
    """A Table whose rows carry `served`."""
    for row, obj in zip(made["rows"], served, strict=True):
        row["object"] = obj
    return made


def behaviour_of(call: Call) -> Behaviour:
    """How the answer's kind prints: a subresource of another kind has a Table of its own."""
    sub = call.route.find_subresource()
    if sub is not None and sub.kind != call.route.resource.kind:
        return Behaviour(table=table.SCALE if sub.kind == "Scale" else None)
    return call.shown


def include_of(call: Call) -> Include:
    """What the rows of a Table carry. Raises StatusError 400 for an unknown word."""
    text = call.request.param("includeObject") or "Metadata"
    if text not in ("Metadata", "Object", "None"):
        raise bad_request(f"unrecognized includeObject value: {text!r}")
    return cast(Include, text)


def encoded(call: Call, body: bytes, status: int) -> Response:
    """JSON that is encoded already, in the form in which the client wants to read it."""
    request = call.request
    headers: Headers = JSON_HEADERS
    if call.format.media != JSON:
        body, headers = translated(body, call.format.media)
    elif wants_indent(request.param("pretty"), call.agent):
        body = orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2) + b"\n"
    if len(body) > GZIP_MIN_BYTES and accepts_gzip(request.headers.get("accept-encoding", "")):
        packed = gzip.compress(body, 1, mtime=0)
        return Response(status, (*headers, *GZIP_HEADERS), packed)
    return Response(status, headers, body)


def translated(body: bytes, media: str) -> tuple[bytes, Headers]:
    """JSON as YAML or PROTOBUF, and the headers that go with it."""
    if media == PROTOBUF:
        return binary.body(body), binary.HEADERS
    return to_yaml(body), YAML_HEADERS


def to_yaml(body: bytes) -> bytes:
    """JSON as YAML. The YAML library is loaded on first use: hardly any client asks for it.

    It writes a megabyte in a second: what is large stays JSON, which is YAML in flow style.
    """
    if len(body) > YAML_MAX_BYTES:
        return orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2) + b"\n"
    yaml = importlib.import_module("yaml")
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(
        orjson.loads(body), Dumper=dumper, sort_keys=False, default_flow_style=False
    )
    return text.encode()


def negotiated(reply: Response, accept: str) -> Response:
    """A Status in YAML or protobuf, where that is what the client reads."""
    if "yaml" not in accept and "protobuf" not in accept:
        return reply
    try:
        media = choose(accept, OTHER).media
    except StatusError:
        return reply
    if media == JSON or JSON_HEADERS[0] not in reply.headers:
        return reply
    assert isinstance(reply.body, bytes)
    body, typed = translated(reply.body, media)
    headers = [typed[0] if pair == JSON_HEADERS[0] else pair for pair in reply.headers]
    return Response(reply.status, headers, body)


def plain(body: Any, call_format: Format, *, status: int = 200) -> Response:
    """A body that is no stored object. What is of no kind is never protobuf."""
    media = call_format.media
    if media == JSON or (media == PROTOBUF and "kind" not in body):
        return Response(status, JSON_HEADERS, orjson.dumps(body))
    made, headers = translated(orjson.dumps(body), media)
    return Response(status, headers, made)
