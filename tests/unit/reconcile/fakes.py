"""A client that remembers what it was asked and fails where it was told to."""

from collections.abc import Callable
from typing import Any

from petset.api import errors, meta
from petset.api.meta import MutableObj, Obj
from petset.base.ids import Ids
from petset.base.loopclock import LoopClock
from petset.client.client import Client, Listed
from petset.client.reflector import Informers
from petset.reconcile.context import Context


class NoTransport:
    """No request gets here: the client below answers by itself."""

    async def request(self, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("not asked for")

    def stream(self, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("not asked for")

    async def close(self) -> None:
        """Nothing to close."""


class FakeClient(Client):
    """Answers every write with a new version; `failures` maps a call to the error it gets."""

    def __init__(self) -> None:
        super().__init__(NoTransport(), manager="test")
        self.calls: list[str] = []
        self.bodies: list[Any] = []
        self.failures: dict[str, Exception] = {}
        self.version = 10

    def _answer(self, call: str, body: Any) -> MutableObj:
        self.calls.append(call)
        self.bodies.append(body)
        if call in self.failures:
            raise self.failures[call]
        self.version += 1
        name = call.rpartition(" ")[2]
        namespace, _, name = name.rpartition("/")
        metadata = {"name": name, "uid": f"uid-{name}", "resourceVersion": str(self.version)}
        if namespace:
            metadata["namespace"] = namespace
        return {"metadata": metadata}

    async def create(
        self, resource: str, obj: Obj, namespace: str = "", *, name: str = "", subresource: str = ""
    ) -> MutableObj:
        what = f"{resource}/{subresource}".rstrip("/")
        return self._answer(f"create {what} {namespace}/{name or meta.name_of(obj)}", obj)

    async def update(self, resource: str, obj: Obj, *, subresource: str = "") -> MutableObj:
        what = f"{resource}/{subresource}".rstrip("/")
        return self._answer(f"update {what} {meta.key_of(obj)}", obj)

    async def patch(
        self,
        resource: str,
        name: str,
        patch: Any,
        namespace: str = "",
        *,
        kind: Any = "merge",
        subresource: str = "",
        force: bool = False,
    ) -> MutableObj:
        assert (kind, force) == ("merge", False)
        what = f"{resource}/{subresource}".rstrip("/")
        return self._answer(f"patch {what} {namespace}/{name}", patch)

    async def delete(
        self,
        resource: str,
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        resource_version: str = "",
        grace_s: int | None = None,
        propagation: str = "",
    ) -> MutableObj:
        body = (uid, resource_version, grace_s, propagation)
        return self._answer(f"delete {resource} {namespace}/{name}", body)

    async def list(
        self,
        resource: str,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        limit: int = 0,
        prepare: Callable[[MutableObj], None] | None = None,
    ) -> Listed:
        del resource, namespace, labels, fields, limit, prepare
        return Listed([], "1")


class Said:
    """A recorder that keeps what was said."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str]] = []

    async def record(self, involved: Obj, kind: str, reason: str, message: str) -> None:
        del involved
        self.events.append((kind, reason, message))


def context(client: FakeClient, said: Said | None = None) -> Context:
    """What a controller is given, on the loop's own time."""
    recorder = said or Said()
    return Context(Informers(client), client, LoopClock(), Ids(1), lambda component: recorder)


def pod(name: str = "web-0", version: int = 1, **metadata: Any) -> MutableObj:
    """A pod in `default`."""
    given = {"namespace": "default", "resourceVersion": str(version), "uid": f"uid-{name}"}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, **given, **metadata}}


def not_found() -> errors.StatusError:
    return errors.not_found("pods", "web-0")
