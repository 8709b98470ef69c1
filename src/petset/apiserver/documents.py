"""Discovery and OpenAPI over HTTP: which form, which headers (wire reference, 2 and 3).

Invariant: a 304 carries no Content-Type (trap 5).
"""

import asyncio
import threading
import zlib
from collections.abc import Mapping, Sequence

from petset.api import discovery, openapi, registry
from petset.api.errors import not_acceptable
from petset.apiserver import negotiate
from petset.apiserver.answer import plain
from petset.apiserver.route import NotFoundPathError
from petset.base import httpdate
from petset.base.http import Request, Response

OPENAPI_V2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
ASKED_V2: Mapping[str, openapi.FormV2] = {
    negotiate.JSON: "json",
    "application/*": "json",
    "*/*": "json",
    OPENAPI_V2: "protobuf",
    OPENAPI_V2.replace(".v2.v1", ".v2@v1"): "protobuf",
}
"""Media types that a client may ask for the document of v2 in. What it asks with an @ is answered
without: that is no media type."""
YEAR_S = 365 * 86_400
_MAKING = threading.Lock()
"""Held while the document of v2 is made: those who ask meanwhile wait for the same."""
_OF_BODIES = ("Content-Type", "Content-Encoding")


def aggregated_version(accept: str) -> str:
    """v2 or v2beta1 if the client wants aggregated discovery first, else ""."""
    for clause in negotiate.parse_accept(accept):
        if clause.media not in ("application/json", "*/*"):
            continue
        if not clause.params:
            return ""
        version = clause.param("v")
        wanted = (clause.param("as"), clause.param("g"))
        if wanted == ("APIGroupDiscoveryList", "apidiscovery.k8s.io"):
            if version in discovery.AGGREGATED:
                return version
        elif not clause.param("as"):
            return ""
    return ""


def _discovery(request: Request, root: str) -> Response | None:
    version = aggregated_version(request.headers.get("accept", ""))
    if not version:
        return None
    body, tag = discovery.aggregated_bytes(root, version)
    headers = (
        ("Content-Type", discovery.AGGREGATED[version]),
        ("ETag", tag),
        ("Vary", "Accept"),
        ("Cache-Control", "public"),
    )
    return _tagged(request, headers, body, tag)


def _tagged(
    request: Request, headers: Sequence[tuple[str, str]], body: bytes, tag: str
) -> Response:
    """The answer, or 304 without a Content-Type when the client has it already."""
    given = request.headers.get("if-none-match", "").split(",")
    known = [text.strip().removeprefix("W/") for text in given]
    if tag in known or "*" in known:
        return Response(304, [(k, v) for k, v in headers if k not in _OF_BODIES])
    return Response(200, headers, body)


def _vary(response: Response) -> Response:
    response.headers = (*response.headers, ("Vary", "Accept"))
    return response


def api_versions(request: Request) -> Response:
    """GET /api."""
    host = request.headers.get("host", "localhost")
    found = _discovery(request, "api")
    return found or _vary(plain(discovery.api_versions(host), _form(request)))


def group_list(request: Request) -> Response:
    """GET /apis."""
    found = _discovery(request, "apis")
    return found or _vary(plain(discovery.groups(), _form(request)))


def group_or_version(request: Request) -> Response:
    """GET /api/v1, /apis/<group>, /apis/<group>/<version>. Raises NotFoundPathError."""
    parts = request.path.strip("/").split("/")
    if parts[0] == "api":
        found = discovery.resources("", parts[1]) if len(parts) == 2 else None
    elif len(parts) == 2:
        found = discovery.group(parts[1])
    else:
        found = discovery.resources(parts[1], parts[2]) if len(parts) == 3 else None
    if found is None:
        raise NotFoundPathError
    return plain(found, _form(request))


async def openapi_v2(request: Request) -> Response:
    """GET /openapi/v2. Raises StatusError 406.

    Made on a thread when it is first asked for.
    """
    form = _form_v2(request.headers.get("accept", ""))
    packed, tag = await asyncio.to_thread(_version_2, form)
    headers = [
        ("Content-Type", OPENAPI_V2 if form == "protobuf" else openapi.CONTENT_TYPE),
        ("ETag", tag),
        ("Vary", "Accept, Accept-Encoding"),
        ("Cache-Control", "no-cache, private"),
    ]
    if negotiate.accepts_gzip(request.headers.get("accept-encoding", "")):
        return _tagged(request, [*headers, ("Content-Encoding", "gzip")], packed, tag)
    return _tagged(request, headers, zlib.decompress(packed, wbits=31), tag)


def _version_2(form: openapi.FormV2) -> tuple[bytes, str]:
    with _MAKING:
        return openapi.version_2(form)


def _form_v2(accept: str) -> openapi.FormV2:
    for clause in negotiate.parse_accept(accept or "*/*"):
        if clause.media in ASKED_V2:
            return ASKED_V2[clause.media]
    raise not_acceptable((openapi.CONTENT_TYPE, OPENAPI_V2))


def _json_only(request: Request) -> None:
    """Raises StatusError 406 where the client wants another form, such as protobuf."""
    clauses = negotiate.parse_accept(request.headers.get("accept", "") or "*/*")
    if not any(ASKED_V2.get(clause.media) == "json" for clause in clauses):
        raise not_acceptable((openapi.CONTENT_TYPE,))


def openapi_index(request: Request) -> Response:
    """GET /openapi/v3. Raises StatusError 406."""
    _json_only(request)
    body, tag = openapi.index()
    headers = (
        ("Content-Type", openapi.CONTENT_TYPE),
        ("ETag", tag),
        ("Vary", "Accept"),
        ("Cache-Control", "no-cache, private"),
    )
    return _tagged(request, headers, body, tag)


def openapi_document(request: Request, now: float) -> Response:
    """GET /openapi/v3/<path> at time `now` (epoch seconds).

    Raises NotFoundPathError, StatusError 406.
    """
    _json_only(request)
    path = request.path.strip("/").removeprefix("openapi/v3/")
    known = openapi.hashes().get(path)
    if known is None:
        raise NotFoundPathError
    tag = openapi.etag(path)
    headers = [
        ("Content-Type", openapi.CONTENT_TYPE),
        ("ETag", tag),
        ("Vary", "Accept, Accept-Encoding"),
    ]
    if request.param("hash") == known:
        headers += [
            ("Cache-Control", openapi.IMMUTABLE),
            ("Expires", httpdate.text(now + YEAR_S)),
        ]
    if negotiate.accepts_gzip(request.headers.get("accept-encoding", "")):
        headers.append(("Content-Encoding", "gzip"))
        body = openapi.compressed(path)
    else:
        body = openapi.document(path)
    assert body is not None
    return _tagged(request, headers, body, tag)


def paths() -> list[str]:
    """All paths of groups and versions, for the index at /."""
    found = []
    for group in registry.GROUPS:
        root = f"/apis/{group}" if group else "/api"
        found += [root, *(f"{root}/{version}" for version in registry.versions(group))]
    return [*found, *(f"/openapi/v3/{path}" for path in openapi.hashes())]


def _form(request: Request) -> negotiate.Format:
    return negotiate.choose(request.headers.get("accept", ""), negotiate.OTHER)
