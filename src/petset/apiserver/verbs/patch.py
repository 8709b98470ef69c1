"""patch: an object is changed by a JSON patch, a merge patch or a strategic merge patch.

Server-side apply (`verbs.apply`) enters here too.
"""

from typing import Any

from petset.api import bodies, decode
from petset.api.errors import bad_request, unsupported_media_type
from petset.api.meta import MutableObj
from petset.api.patch import json as json_patch
from petset.api.patch import merge, strategic
from petset.api.resource import Resource
from petset.apiserver import answer, body, negotiate, write
from petset.apiserver.call import Call
from petset.apiserver.objects import Change
from petset.apiserver.verbs import apply, options
from petset.base.http import Reply

JSON_PATCH = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
TYPES = (JSON_PATCH, MERGE, STRATEGIC, APPLY)
_BESIDE_SPEC = frozenset({"kind", "apiVersion", "metadata", "status"})


async def patch(call: Call) -> Reply:
    """Patch the object (or its status)."""
    call.format = negotiate.choose(call.request.headers.get("accept", ""), negotiate.OBJECT)
    media = patch_type(call)
    if media == APPLY:
        return await apply.apply(call)
    options.read_write_options(call, "PatchOptions")
    change = reader(call, call.route.resource, media)
    about = write.STATUS if call.route.subresource == "status" else write.MAIN

    def change_stored(old: MutableObj) -> MutableObj:
        return call.inward(change(call.outward(old)))

    written = await write.update(call, change_stored, about=about)
    return answer.stored(call, written.value)


def patch_type(call: Call) -> str:
    """The patch's media type. Raises StatusError 415 for unknown ones."""
    media = negotiate.content_type(call.request.headers.get("content-type", ""))
    if media not in TYPES:
        raise unsupported_media_type(TYPES)
    return media


def reader(call: Call, kind: Resource, media: str = "") -> Change:
    """The patch in the body as a function from an object to the patched one, checked.

    The function leaves the object as it is.
    """
    media = media or patch_type(call)
    given, twice = _read(call, media)
    text = call.request.body.decode(errors="replace")

    apart = b"managedFields" not in call.request.body and b"\\u" not in call.request.body
    leaves_spec = call.route.subresource == "status" and _leaves_spec(given, media)

    def change(old: MutableObj) -> MutableObj:
        base = {**old, "metadata": dict(old["metadata"])}
        entries = base["metadata"].pop("managedFields", None) if apart else None
        spec = base.pop("spec", None) if leaves_spec else None
        new = body.read_patched(call, kind, _apply(base, given, media, kind), text, twice)
        if entries and isinstance(new.get("metadata"), dict):
            new["metadata"]["managedFields"] = entries
        if spec is not None:
            new["spec"] = spec
        return new

    return change


def _leaves_spec(given: Any, media: str) -> bool:
    """Whether a patch has nothing to do with the spec, so that this need not be checked again."""
    return (
        media in (MERGE, STRATEGIC) and isinstance(given, dict) and _BESIDE_SPEC.issuperset(given)
    )


def _read(call: Call, media: str) -> tuple[Any, list[str]]:
    """The patch in the body, and texts about its duplicate fields. Raises StatusError 400."""
    raw, many = call.request.body, media == JSON_PATCH
    go_type = "[]handlers.jsonPatchOp" if many else "map[string]interface {}"
    if media == MERGE and raw.strip() == b"null":
        raise bad_request("Invalid JSON Patch")
    try:
        given, twice = bodies.parse_patch(raw, go_type, duplicates=call.validation != "Ignore")
    except ValueError as error:
        where = "" if media == STRATEGIC else "error decoding patch: "
        raise bad_request(f"{where}{error}") from None
    texts = decode.strict_texts((), twice)
    return given, [f"json patch {text}" for text in texts] if many else texts


def _apply(old: MutableObj, given: Any, media: str, kind: Resource) -> MutableObj:
    if media == JSON_PATCH:
        return json_patch.apply(old, given)
    if media == MERGE:
        return merge.apply(old, given)
    return strategic.apply(old, given, kind.schema)
