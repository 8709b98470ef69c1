"""OpenAPI v3: the index and one document per group version.

Documents are generated (tools/gen_schema.py) and kept compressed; their names carry a hash of the
contents, so a client that has one never asks again.
"""

import functools
import zlib

import orjson

from petset.api import schema

CONTENT_TYPE = "application/json"
IMMUTABLE = "public, immutable"
"""Cache-Control of a document that was asked for by its present hash."""


@functools.cache
def hashes() -> dict[str, str]:
    """Hash of every document, by its path (`api/v1`, `apis/apps/v1`)."""
    found: dict[str, str] = orjson.loads(schema.read_data("openapi/index.json"))
    return found


@functools.cache
def index() -> tuple[bytes, str]:
    """GET /openapi/v3: the body and its ETag (quoted)."""
    paths = {
        path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={value}"}
        for path, value in hashes().items()
    }
    data = orjson.dumps({"paths": paths})
    return data, f'"{zlib.crc32(data):08X}"'


@functools.cache
def compressed(path: str) -> bytes | None:
    """GET /openapi/v3/<path>, as gzip. None if there is no such document."""
    if path not in hashes():
        return None
    return schema.read_data(f"openapi/{path.replace('/', '_')}.json.gz")


def document(path: str) -> bytes | None:
    """GET /openapi/v3/<path>, for clients that do not take gzip."""
    data = compressed(path)
    return None if data is None else zlib.decompress(data, wbits=31)


def etag(path: str) -> str:
    """The ETag of a document (quoted). Raises KeyError."""
    return f'"{hashes()[path]}"'
