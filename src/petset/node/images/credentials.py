"""Credentials for registries: given ones first, then Docker's configuration file."""

import asyncio
import base64
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from petset.node.images.reference import HUB

_HUB_KEYS = ("https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io")
_HELPER_S = 10.0


class Credentials:
    """Finds logins. `given` maps registry hosts to base64 of `user:password`."""

    def __init__(self, given: Mapping[str, str], file: Path | None = None) -> None:
        self._given = given
        self._file = file or docker_config()

    async def find(self, domain: str) -> str:
        """The login for a registry, base64; "" when there is none."""
        keys = _keys(domain)
        for key in keys:
            if key in self._given:
                return self._given[key]
        document = _load(self._file)
        stored = document.get("auths") or {}
        for key in keys:
            entry = stored.get(key) or {}
            if entry.get("auth"):
                return str(entry["auth"])
            if entry.get("username"):
                return _join(entry["username"], entry.get("password", ""))
        return await _ask_helper(document, keys)


def docker_config() -> Path:
    """Where Docker keeps its configuration: $DOCKER_CONFIG, else ~/.docker."""
    folder = os.environ.get("DOCKER_CONFIG")
    return (Path(folder) if folder else Path.home() / ".docker") / "config.json"


def _keys(domain: str) -> tuple[str, ...]:
    if domain == HUB:
        return _HUB_KEYS
    return (domain, f"https://{domain}", f"https://{domain}/v1/", f"https://{domain}/v2/")


def _load(file: Path) -> Mapping[str, Any]:
    try:
        document = orjson.loads(file.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    return document if isinstance(document, dict) else {}


def _join(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


async def _ask_helper(document: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    """Ask the `docker-credential-*` program named for this registry, if there is one."""
    named = document.get("credHelpers") or {}
    suffix = next((named[key] for key in keys if key in named), document.get("credsStore"))
    program = shutil.which(f"docker-credential-{suffix}") if suffix else None
    if program is None:
        return ""
    process = await asyncio.create_subprocess_exec(
        program,
        "get",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(_HELPER_S):
            out, _ = await process.communicate(keys[0].encode())
    except TimeoutError:
        process.kill()
        await process.wait()
        return ""
    try:
        answer = orjson.loads(out)
    except orjson.JSONDecodeError:
        return ""
    if process.returncode != 0 or not isinstance(answer, dict):
        return ""
    return _join(str(answer.get("Username", "")), str(answer.get("Secret", "")))
