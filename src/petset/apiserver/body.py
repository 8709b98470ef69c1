"""Bodies of requests: from bytes to objects of the kind that the URL stands for."""

from collections.abc import Mapping, Sequence
from typing import Any

from petset.api import bodies, clean, decode, protobuf
from petset.api.errors import (
    bad_request,
    invalid,
    invalid_object,
    unsupported_media_type,
)
from petset.api.meta import MutableObj, Obj
from petset.api.prune import prune
from petset.api.resource import Resource
from petset.apiserver import negotiate
from petset.apiserver.call import Call

OPTIONS_SCHEMA = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"


def _parse(call: Call, *, duplicates: bool) -> tuple[MutableObj, list[str]]:
    """The body as an object, and its duplicate fields. Raises StatusError 400, 415."""
    media = negotiate.content_type(call.request.headers.get("content-type", ""))
    if media == negotiate.PROTOBUF:
        return protobuf.decode(call.request.body), []
    if media not in negotiate.MADE:
        raise unsupported_media_type(negotiate.MADE)
    return bodies.parse_body(call.request.body, media, duplicates=duplicates)


def read_object(call: Call, kind: Resource) -> MutableObj:
    """The object in the body, of the kind that `kind` describes.

    kind and apiVersion may be missing; unknown fields are dropped, warned about or refused as
    fieldValidation says. Raises StatusError 400, 415.
    """
    obj, duplicates = _parse(call, duplicates=call.validation != "Ignore")
    expect_kind(obj, kind)
    if not duplicates and _is_own(call) and clean.is_clean(kind.schema, obj):
        return obj
    found = decode.check(kind.schema, obj)
    if found.errors:
        raise decode.type_error(kind.kind, kind.version, found)
    if found.unknown or duplicates:
        if call.validation == "Strict":
            raise decode.strict_error(kind.kind, kind.version, found.unknown, duplicates)
        if call.validation == "Warn":
            call.warn(decode.strict_texts(found.unknown, duplicates))
    return prune(kind.schema, obj)


def _is_own(call: Call) -> bool:
    """Whether no part of the body's object is shared: YAML may repeat one."""
    media = call.request.headers.get("content-type", negotiate.JSON)
    return media == negotiate.JSON


def expect_kind(obj: MutableObj, kind: Resource) -> None:
    """Give `obj` the kind and apiVersion of the URL. Raises StatusError 400 for other ones."""
    version = obj.get("apiVersion") or kind.api_version
    if version != kind.api_version:
        raise bad_request(
            f"the API version in the data ({version}) does not match the expected API version "
            f"({kind.api_version})"
        )
    name = obj.get("kind") or kind.kind
    if name != kind.kind:
        raise bad_request(f'{name} in version "{kind.version}" cannot be handled as a {kind.kind}')
    obj["kind"], obj["apiVersion"] = kind.kind, kind.api_version


def read_patched(
    call: Call, kind: Resource, patched: Obj, patch_text: str, told: Sequence[str] = ()
) -> MutableObj:
    """The result of a patch, checked and pruned like a body. Raises StatusError 422.

    `told` are texts about the patch itself, to be judged as unknown fields are.
    """
    found = decode.check(kind.schema, patched)
    if found.errors:
        raise _bad_patch(kind, patched, patch_text, found.errors[0][1])
    if found.unknown or told:
        texts = [*told, *decode.strict_texts(found.unknown, ())]
        _judge_texts(call, kind, patched, patch_text, texts)
    obj = prune(kind.schema, patched)
    expect_kind(obj, kind)
    return obj


def _judge_texts(
    call: Call, kind: Resource, patched: Obj, patch_text: str, texts: Sequence[str]
) -> None:
    if call.validation == "Strict":
        why = f"strict decoding error: {', '.join(texts)}"
        raise _bad_patch(kind, patched, patch_text, why)
    if call.validation == "Warn":
        call.warn(texts)


def _bad_patch(kind: Resource, patched: Obj, patch_text: str, why: str) -> Exception:
    meta = patched.get("metadata")
    name = str(meta.get("name") or "") if isinstance(meta, dict) else ""
    return invalid_object(kind.group, kind.kind, name, [invalid("patch", patch_text, why)])


def read_options(call: Call) -> Mapping[str, Any]:
    """The DeleteOptions in the body. Raises StatusError 400, 415."""
    given, _ = _parse(call, duplicates=False)
    found = decode.check(OPTIONS_SCHEMA, given)
    if found.errors:
        raise decode.type_error("DeleteOptions", "v1", found)
    return given
