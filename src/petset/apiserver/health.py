"""/healthz, /livez, /readyz: named checks, one by one or together."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from petset.base.http import Request, Response

Check = Callable[[], Awaitable[bool] | bool]
"""Whether one part of the server is healthy."""

TEXT = (
    ("Content-Type", "text/plain; charset=utf-8"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-cache, no-store, must-revalidate"),
)
CHECK_S = 5.0


class Health:
    """The checks behind one of the three paths.

    Args:
        name: healthz, livez or readyz.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._checks: dict[str, Check] = {"ping": lambda: True}

    def add(self, name: str, check: Check) -> None:
        """Have the path depend on `check`, too."""
        self._checks[name] = check

    async def answer(self, request: Request) -> Response:
        """Run all checks, or the one that the path names."""
        one = request.path.removeprefix(f"/{self.name}").strip("/")
        if one:
            if one not in self._checks:
                return Response(404, TEXT, b"404 page not found\n")
            good = await _run(self._checks[one])
            if good:
                return Response(200, TEXT, b"ok")
            words = f"internal server error: {one} failed: reason withheld\n"
            return Response(500, TEXT, words.encode())
        return await self._all(request)

    async def _all(self, request: Request) -> Response:
        excluded = set(request.params("exclude"))
        lines, good = [], True
        for name, check in self._checks.items():
            if name in excluded:
                excluded.discard(name)
                lines.append(f"[+]{name} excluded: ok")
            elif await _run(check):
                lines.append(f"[+]{name} ok")
            else:
                good = False
                lines.append(f"[-]{name} failed: reason withheld")
        lines += _unknown(excluded)
        if not good:
            return Response(
                500, TEXT, "\n".join([*lines, f"{self.name} check failed", ""]).encode()
            )
        if any(key == "verbose" for key, _ in request.query):
            return Response(
                200, TEXT, "\n".join([*lines, f"{self.name} check passed", ""]).encode()
            )
        return Response(200, TEXT, b"ok")


def _unknown(names: Iterable[str]) -> list[str]:
    quoted = ", ".join(f'"{name}"' for name in sorted(names))
    if not quoted:
        return []
    return [f"warn: some health checks cannot be excluded: no matches for {quoted}"]


async def _run(check: Check) -> bool:
    found = check()
    if isinstance(found, bool):
        return found
    try:
        async with asyncio.timeout(CHECK_S):
            return await found
    except TimeoutError:
        return False
