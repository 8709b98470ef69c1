"""OpenAPI v3: the index and one document per group version. OpenAPI v2: one document of all.

Documents are generated (tools/gen_schema.py) and kept compressed; their names carry a hash of the
contents, so a client that has one never asks again. That of v2, which few clients ask for, is made
of them when it is wanted.
"""

import functools
import gzip
import zlib
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Literal

import orjson

from petset.api import gnostic, schema, swagger

CONTENT_TYPE = "application/json"
IMMUTABLE = "public, immutable"
"""Cache-Control of a document that was asked for by its present hash."""

FormV2 = Literal["json", "protobuf"]
_FORMS_V2: dict[FormV2, Callable[[swagger.Json, Iterator[swagger.Part]], bytes]] = {
    "json": swagger.encode,
    "protobuf": gnostic.encode,
}


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


@functools.cache
def version_2(form: FormV2) -> tuple[bytes, str]:
    """GET /openapi/v2: the body as gzip, and its ETag (quoted).

    The first call for a form takes some tenths of a second of computation.
    """
    documents = (data for path in hashes() if (data := document(path)) is not None)
    first = next(documents)
    parts = swagger.parts(chain([first], documents))
    data = _FORMS_V2[form](swagger.head(first), parts)
    return gzip.compress(data, mtime=0), f'"{zlib.crc32(data):08X}{len(data):X}"'
