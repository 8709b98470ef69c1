"""A registry's client: manifests and blobs over HTTP (aiohttp).

Imported only in the worker process, which keeps aiohttp's memory out of the agent.
Rules: OCI distribution specification, Docker's token authentication.
Invariant: bytes that do not have the digest they were asked by are never handed on.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp
import orjson

from petset.node.images import manifest
from petset.node.images.credentials import Credentials
from petset.node.images.manifest import Config, Descriptor, Manifest
from petset.node.images.reference import Reference

CONNECT_S = 3.0
STALL_S = 30.0
_DOCUMENT_MAX = 8 * 1024 * 1024
_PIECE = 1024 * 1024
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')

Progress = Callable[[int], None]
"""Told how many more bytes have come."""


class RegistryError(Exception):
    """A registry gave a definite answer that is no image; the message says which."""


class UnreachableError(Exception):
    """No answer came. `host` is who was asked, the message why."""

    def __init__(self, host: str, why: str) -> None:
        super().__init__(why)
        self.host = host
        self.why = why


class Registry:
    """Asks the registry of one reference. An asynchronous context."""

    def __init__(self, ref: Reference, credentials: Credentials) -> None:
        self._ref = ref
        self._credentials = credentials
        scheme = "http" if ref.local else "https"
        self._base = f"{scheme}://{ref.host}/v2/{ref.path}"
        self._authorization = ""
        self._session: aiohttp.ClientSession
        self._asking = asyncio.Lock()

    async def __aenter__(self) -> "Registry":
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(
                total=None, connect=CONNECT_S + 1, sock_connect=CONNECT_S, sock_read=STALL_S
            ),
            trust_env=True,
            auto_decompress=False,
            headers={"User-Agent": "petset"},
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def resolve(self) -> tuple[Manifest, str]:
        """The manifest for this machine, and the digest the reference stands for at present."""
        document, digest = await self._document(self._ref.wanted, self._ref.digest)
        if manifest.is_index(document):
            chosen = manifest.choose(document, *manifest.machine())
            document, _ = await self._document(chosen.digest, chosen.digest)
        return manifest.manifest(document), digest

    async def config(self, descriptor: Descriptor) -> Config:
        """The image's configuration."""
        url = f"{self._base}/blobs/{descriptor.digest}"
        async with self._get(url, "*/*") as answer:
            raw = await _read(answer, min(descriptor.size, _DOCUMENT_MAX))
        _check(descriptor.digest, hashlib.sha256(raw).hexdigest())
        return manifest.config(_json(raw))

    async def blob(self, descriptor: Descriptor, path: Path, progress: Progress) -> None:
        """Fetch a blob into the file `path`."""
        url = f"{self._base}/blobs/{descriptor.digest}"
        digest = hashlib.sha256()
        got = 0
        async with self._get(url, "*/*") as answer:
            with path.open("wb") as out:
                async for piece in answer.content.iter_chunked(_PIECE):
                    got += len(piece)
                    if got > descriptor.size:
                        break
                    digest.update(piece)
                    out.write(piece)
                    progress(len(piece))
        if got != descriptor.size:
            raise RegistryError(
                f"blob {descriptor.digest} has another size than the manifest says: "
                f"{'more than ' if got > descriptor.size else ''}{got} of {descriptor.size} bytes"
            )
        _check(descriptor.digest, digest.hexdigest())

    async def _document(self, wanted: str, digest: str) -> tuple[Mapping[str, Any], str]:
        url = f"{self._base}/manifests/{wanted}"
        async with self._get(url, ", ".join(manifest.ACCEPT)) as answer:
            raw = await _read(answer, _DOCUMENT_MAX)
            kind = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        if digest.startswith("sha512:"):
            found = f"sha512:{hashlib.sha512(raw).hexdigest()}"
        else:
            found = f"sha256:{hashlib.sha256(raw).hexdigest()}"
        if digest and digest != found:
            raise RegistryError(f"the manifest has another digest: {found} instead of {digest}")
        document = dict(_json(raw))
        if kind in manifest.ACCEPT:
            document.setdefault("mediaType", kind)
        return document, found

    @asynccontextmanager
    async def _get(self, url: str, accept: str) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = {"Accept": accept}
        try:
            answer = await self._ask(url, headers)
            if answer.status == 401:
                answer.release()
                await self._authorize(answer.headers.get("WWW-Authenticate", ""))
                answer = await self._ask(url, headers)
            async with answer:
                self._judge(answer)
                yield answer
        except (aiohttp.ClientConnectionError, TimeoutError) as error:
            raise UnreachableError(self._ref.domain, _why(error)) from None
        except aiohttp.ClientError as error:
            raise RegistryError(f"{self._ref.host}: {error}") from None

    async def _ask(self, url: str, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        if self._authorization:
            headers = {**headers, "Authorization": self._authorization}
        return await self._session.get(url, headers=headers)

    def _judge(self, answer: aiohttp.ClientResponse) -> None:
        status = answer.status
        if status == 200:
            return
        if status == 404:
            raise RegistryError(f"{self._ref}: not found")
        if status in (401, 403):
            raise RegistryError(
                "pull access denied, repository does not exist or may require authorization: "
                f"server answered {status}"
            )
        raise RegistryError(f"unexpected status from GET request to {answer.url}: {status}")

    async def _authorize(self, challenge: str) -> None:
        """Answer a 401: with a token for Bearer, with the password itself for Basic."""
        scheme, _, rest = challenge.partition(" ")
        login = await self._credentials.find(self._ref.domain)
        async with self._asking:
            if scheme.lower() == "basic" and login:
                self._authorization = f"Basic {login}"
            elif scheme.lower() == "bearer":
                token = await self._token(dict(_CHALLENGE.findall(rest)), login)
                self._authorization = f"Bearer {token}"

    async def _token(self, parameters: Mapping[str, str], login: str) -> str:
        realm = parameters.get("realm", "")
        if not realm.startswith(("https://", "http://" if self._ref.local else "https://")):
            raise RegistryError(f"the registry sends to {realm!r} for a token")
        query = {"scope": parameters.get("scope") or f"repository:{self._ref.path}:pull"}
        if "service" in parameters:
            query["service"] = parameters["service"]
        headers = {"Authorization": f"Basic {login}"} if login else {}
        async with self._session.get(realm, params=query, headers=headers) as answer:
            if answer.status != 200:
                raise RegistryError(
                    "pull access denied, repository does not exist or may require authorization: "
                    f"the token server answered {answer.status}"
                )
            document = _json(await _read(answer, _DOCUMENT_MAX))
        token = document.get("token") or document.get("access_token")
        if not isinstance(token, str):
            raise RegistryError("the token server gave no token")
        return token


async def _read(answer: aiohttp.ClientResponse, limit: int) -> bytes:
    raw = b""
    async for piece in answer.content.iter_chunked(_PIECE):
        raw += piece
        if len(raw) > limit:
            raise RegistryError(f"{answer.url} is larger than {limit} bytes")
    return raw


def _json(raw: bytes) -> Mapping[str, Any]:
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        raise RegistryError("the registry's answer is no JSON object")
    return document


def _check(digest: str, found: str) -> None:
    if digest != f"sha256:{found}":
        raise RegistryError(f"the content of {digest} has another digest: sha256:{found}")


def _why(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__
