"""Turns the actions of a plan into calls on the API, outside effects and events.

Invariant: the only writer of a controller. It never decides anything: the first failure stops the
plan, and the next plan is made from what is then there.
Invariant: log lines and counters of writes are made here, from the plan, and nowhere else.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, assert_never

from petset.api import meta
from petset.api.errors import StatusError
from petset.api.meta import MutableObj
from petset.client.client import Client
from petset.client.transport import TransportError
from petset.reconcile.actions import (
    FAILURE,
    NAME,
    Action,
    Bind,
    Create,
    Delete,
    Emit,
    External,
    Parallel,
    Patch,
    Plan,
    Reported,
    Sequence,
    Update,
)
from petset.reconcile.freshness import Write, write_of
from petset.reconcile.metrics import Metrics

BATCH_MAX = 500
"""Most actions of a Parallel that are under way at the same time."""

_log = logging.getLogger(__name__)

Failure = StatusError | TransportError | OSError
"""What may end a plan early: an API error, no answer, or a failed external effect."""

ExternalEffect = Callable[[str], Awaitable[None]]
"""Does an `External`; raises OSError when it could not."""


@dataclass(frozen=True, slots=True)
class Executed:
    """How far a plan came: the first failure, if any, and the writes that were answered."""

    failure: Failure | None
    writes: tuple[Write, ...]


class Executor:
    """Carries out plans for one controller.

    Args:
        emit: takes the events.
        externals: the outside effects that plans may name.
    """

    def __init__(
        self,
        name: str,
        client: Client,
        emit: Callable[[Emit], None],
        *,
        metrics: Metrics,
        externals: Mapping[str, ExternalEffect],
    ) -> None:
        self._name = name
        self._client = client
        self.emit = emit
        self._metrics = metrics
        self._externals = externals

    async def execute(self, plan: Plan) -> Executed:
        """Do the actions in order, then write the status; report how far it came."""
        run = _Run(self)
        failure = await run.do(Sequence(plan.actions))
        status = plan.status
        if failure is not None and plan.status_if_failed != "status":
            status = _explained(plan.status_if_failed, failure)
        if status is not None:
            failure = await run.do(status) or failure
        return Executed(failure, tuple(run.writes))

    async def call(self, action: "Create | Update | Patch | Delete | Bind") -> MutableObj:
        """One write; raises what the client raises."""
        _log.info("%s: %s", self._name, describe(action))
        self._metrics.count(
            "petset_controller_writes_total",
            controller=self._name,
            verb=type(action).__name__.lower(),
            resource=action.resource if not isinstance(action, Bind) else "pods",
        )
        match action:
            case Create(resource, obj):
                return await self._client.create(resource, obj, meta.namespace_of(obj))
            case Update(resource, obj, subresource):
                return await self._client.update(resource, obj, subresource=subresource)
            case Patch():
                return await self._patch(action)
            case Delete():
                return await self._delete(action)
            case Bind():
                return await self._bind(action)
            case _:
                assert_never(action)

    async def external(self, action: External) -> None:
        """One outside effect; raises OSError when it failed."""
        _log.info("%s: %s %s", self._name, action.name, action.argument)
        await self._externals[action.name](action.argument)

    async def _patch(self, action: Patch) -> MutableObj:
        body: MutableObj = dict(action.patch)
        guards = {"uid": action.uid, "resourceVersion": action.resource_version}
        if metadata := {k: v for k, v in guards.items() if v}:
            body["metadata"] = {**(body.get("metadata") or {}), **metadata}
        return await self._client.patch(
            action.resource,
            action.name,
            body,
            action.namespace,
            kind="merge",
            subresource=action.subresource,
        )

    async def _delete(self, action: Delete) -> MutableObj:
        try:
            return await self._client.delete(
                action.resource,
                action.name,
                action.namespace,
                uid=action.uid,
                resource_version=action.resource_version,
                grace_s=action.grace_s,
                propagation=action.propagation,
            )
        except StatusError as error:
            if error.code == 404:
                return {}
            raise

    async def _bind(self, action: Bind) -> MutableObj:
        metadata = {"name": action.name, "namespace": action.namespace}
        if action.uid:
            metadata["uid"] = action.uid
        body = {
            "kind": "Binding",
            "apiVersion": "v1",
            "metadata": metadata,
            "target": {"apiVersion": "v1", "kind": "Node", "name": action.node},
        }
        return await self._client.create(
            "pods", body, action.namespace, name=action.name, subresource="binding"
        )


class _Run:
    """One plan under way: collects the writes that were answered."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.writes: list[Write] = []

    async def do(self, action: Action) -> Failure | None:
        """Do one action; answer the first failure."""
        match action:
            case Sequence(actions):
                for one in actions:
                    if (failure := await self.do(one)) is not None:
                        return failure
                return None
            case Parallel(actions):
                return await self._parallel(actions)
            case Emit():
                self._executor.emit(action)
                return None
            case Reported():
                return await self._reported(action)
            case External():
                return await self._external(action)
            case _:
                answer = await self._write(action)
                return None if isinstance(answer, dict) else answer

    async def _write(
        self, action: "Create | Update | Patch | Delete | Bind"
    ) -> MutableObj | Failure:
        """The answer to one write, or why it failed."""
        try:
            answer = await self._executor.call(action)
        except (StatusError, TransportError) as error:
            return error
        resource = "" if isinstance(action, Bind) else action.resource
        write = write_of(resource, answer, deletion=isinstance(action, Delete))
        if write is not None:
            self.writes.append(write)
        return answer

    async def _external(self, action: External) -> Failure | None:
        try:
            await self._executor.external(action)
        except OSError as error:
            return error
        return None

    async def _reported(self, action: Reported) -> Failure | None:
        answer: MutableObj | Failure | None
        if isinstance(action.action, External):
            answer = await self._external(action.action)
        else:
            answer = await self._write(action.action)
        failure = None if isinstance(answer, dict) else answer
        if failure is None:
            if action.success is not None:
                name = meta.name_of(answer) if isinstance(answer, dict) else ""
                message = action.success.message.replace(NAME, name)
                self._executor.emit(replace(action.success, message=message))
        elif action.failure is not None and getattr(failure, "reason", "") not in action.quiet:
            message = f"{action.failure.message}{failure}"
            self._executor.emit(replace(action.failure, message=message))
        return failure

    async def _parallel(self, actions: tuple[Action, ...]) -> Failure | None:
        size, rest = 1, actions
        while rest:
            batch, rest = rest[:size], rest[size:]
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self.do(one)) for one in batch]
            failures = [f for task in tasks if (f := task.result()) is not None]
            if failures:
                return failures[0]
            size = min(size * 2, BATCH_MAX)
        return None


def _explained(status: Patch | Update | None, failure: Failure) -> Patch | Update | None:
    """The status with the words of the failure where it asks for them."""
    match status:
        case Patch():
            return replace(status, patch=_filled(status.patch, f"{failure}"))
        case Update():
            return replace(status, obj=_filled(status.obj, f"{failure}"))
        case None:
            return None


def _filled(value: Any, words: str) -> Any:
    if isinstance(value, Mapping):
        return {k: _filled(v, words) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(v, words) for v in value]
    return value.replace(FAILURE, words) if isinstance(value, str) else value


def describe(action: "Create | Update | Patch | Delete | Bind") -> str:
    """One line that tells an action: `create pods default/web-0`."""
    match action:
        case Create(resource, obj):
            name = meta.name_of(obj) or str((obj.get("metadata") or {}).get("generateName", ""))
            return f"create {resource} {_place(meta.namespace_of(obj), name)}"
        case Update(resource, obj, subresource):
            place = _place(meta.namespace_of(obj), meta.name_of(obj))
            return f"update {_path(resource, subresource)} {place}"
        case Patch():
            place = _place(action.namespace, action.name)
            return f"patch {_path(action.resource, action.subresource)} {place}"
        case Delete():
            return f"delete {action.resource} {_place(action.namespace, action.name)}"
        case Bind():
            return f"bind pods {_place(action.namespace, action.name)} to {action.node}"
        case _:
            assert_never(action)


def _place(namespace: str, name: str) -> str:
    return f"{namespace}/{name}" if namespace else name


def _path(resource: str, subresource: str) -> str:
    return f"{resource}/{subresource}" if subresource else resource
