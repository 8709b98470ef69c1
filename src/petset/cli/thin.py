"""`petset apply|delete|scale|logs`: what a person needs on a machine without kubectl."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from petset.api import registry
from petset.api.errors import StatusError
from petset.api.resource import Resource
from petset.cli import manifest, members, paths, state, targets
from petset.cli.failure import Failure
from petset.cli.warned import Warned
from petset.client.client import Client
from petset.client.tls import Tls
from petset.client.transport import TransportError


def connect(name: str) -> Client:
    """A client of cluster `name`, as its administrator. Fails when there is no such cluster."""
    where = state.find(name)
    cluster = state.load(where)
    if cluster is None:
        raise Failure(f"there is no cluster {name!r}", f"start one with: {_up(name)}")
    return Client(Warned(connect_to(where, cluster).transport), manager="petset")


def connect_to(where: paths.Paths, cluster: state.Cluster) -> Client:
    """A client of a cluster whose place is known."""
    try:
        transport = Tls(
            cluster.url,
            ca_file=where.pki / "ca.crt",
            cert_file=where.pki / "admin.crt",
            key_file=where.pki / "admin.key",
        )
    except PermissionError as error:
        raise Failure(
            f"{where.pki} is not yours to read", "run it with sudo, or use kubectl"
        ) from error
    except OSError as error:
        raise Failure(
            f"the certificates in {where.pki} cannot be used: {error}",
            f"start the cluster with: {_up(cluster.name)}",
        ) from error
    return Client(transport, manager="petset")


def _up(name: str) -> str:
    return "petset up" if name == "default" else f"petset up --name {name}"


def run(name: str, work: Callable[[Client], Awaitable[int]]) -> int:
    """Do `work` with a client; errors of the API become one line and exit code 1."""

    async def main() -> int:
        client = connect(name)
        try:
            return await work(client)
        finally:
            await client.close()

    try:
        return asyncio.run(main())
    except StatusError as error:
        reason = f" ({error.reason})" if error.reason else ""
        print(f"Error from server{reason}: {error.message}", file=sys.stderr)
    except TransportError as error:
        raise Failure(f"the API does not answer: {error}", f"start it with: {_up(name)}") from error
    return 1


async def apply(client: Client, sources: Sequence[str], namespace: str) -> int:
    """Create or change what the manifests say; prints one line each, like kubectl."""
    failed = False
    for obj in manifest.read(sources):
        resource = targets.kind_of(obj)
        meta = obj["metadata"] = dict(obj.get("metadata") or {})
        if resource.namespaced:
            meta["namespace"] = meta.get("namespace") or namespace
        if not isinstance(meta.get("name"), str) or not meta["name"]:
            raise Failure(f"a {resource.kind} without metadata.name cannot be applied")
        label = f"{targets.singular(resource)}/{meta['name']}"
        try:
            print(f"{label} {await _apply_one(client, resource, obj)}", flush=True)
        except StatusError as error:
            failed = True
            print(f"Error from server ({error.reason}): {label}: {error.message}", file=sys.stderr)
    return 1 if failed else 0


async def _apply_one(client: Client, resource: Resource, obj: dict[str, Any]) -> str:
    meta = obj["metadata"]
    namespace = meta.get("namespace", "") if resource.namespaced else ""
    try:
        live = await client.get(resource.id, meta["name"], namespace)
    except StatusError as error:
        if error.code != 404:
            raise
        await client.create(resource.id, manifest.with_annotation(obj), namespace)
        return "created"
    changes = manifest.patch(obj, live)
    if not changes:
        return "unchanged"
    await client.patch(resource.id, meta["name"], changes, namespace)
    return "configured"


@dataclass(frozen=True, slots=True)
class Delete:
    """What to delete: by words, manifests, labels, or `everything` of the types in words.

    `timeout_s` 0: wait for ever. `grace_s` None: the object's own.
    """

    words: Sequence[str]
    sources: Sequence[str]
    namespace: str
    labels: str = ""
    everything: bool = False
    wait: bool = True
    timeout_s: float = 0.0
    grace_s: int | None = None


Named = tuple[Resource, str, str]
"""A resource, a namespace, a name."""


async def delete(client: Client, wanted: Delete) -> int:
    """Delete objects; waits until they are gone unless told not to. The exit code."""
    failed = 0
    waiting: list[tuple[Resource, str, str, str]] = []
    for resource, where, name in await _condemned(client, wanted):
        try:
            answer = await client.delete(
                resource.id, name, where, propagation="Background", grace_s=wanted.grace_s
            )
        except StatusError as error:
            failed = 1
            print(f"Error from server ({error.reason}): {error.message}", file=sys.stderr)
            continue
        how = "force deleted" if wanted.grace_s == 0 else "deleted"
        print(f'{targets.singular(resource)} "{name}" {how}', flush=True)
        details = answer.get("details") or answer.get("metadata") or {}
        waiting.append((resource, where, name, details.get("uid", "")))
    if not wanted.wait or not waiting:
        return failed
    try:
        async with asyncio.timeout(wanted.timeout_s or None):
            for resource, where, name, uid in waiting:
                await _until_gone(client, resource, where, name=name, uid=uid)
    except TimeoutError:
        raise Failure(f"still there after {wanted.timeout_s:g} s: {name}") from None
    return failed


async def _condemned(client: Client, wanted: Delete) -> list[Named]:
    found: list[Named] = []
    for resource, name in targets.parse(wanted.words) if wanted.words else ():
        where = wanted.namespace if resource.namespaced else ""
        if name:
            found.append((resource, where, name))
        elif wanted.labels or wanted.everything:
            listed = await client.list(resource.id, where, labels=wanted.labels)
            found += [(resource, where, item["metadata"]["name"]) for item in listed.items]
        else:
            raise Failure(
                f"say which {resource.plural} to delete", "give names, -l LABELS or --all"
            )
    for obj in manifest.read(wanted.sources):
        resource, meta = targets.kind_of(obj), obj.get("metadata") or {}
        where = (meta.get("namespace") or wanted.namespace) if resource.namespaced else ""
        found.append((resource, where, str(meta.get("name", ""))))
    if not found:
        print("No resources found", file=sys.stderr)
    return found


async def _until_gone(
    client: Client, resource: Resource, namespace: str, *, name: str, uid: str
) -> None:
    fields = f"metadata.name={name}"
    while True:
        listed = await client.list(resource.id, namespace, fields=fields)
        if not any(not uid or i["metadata"]["uid"] == uid for i in listed.items):
            return
        events = client.watch(
            resource.id, namespace, fields=fields, resource_version=listed.resource_version
        )
        async for event in events:
            if event.type == "DELETED" and (not uid or event.obj["metadata"]["uid"] == uid):
                return


async def scale(client: Client, target: Sequence[str], namespace: str, replicas: int) -> int:
    """Set spec.replicas of every set named, through the scale subresource."""
    named = targets.parse(target)
    if not all(name for _, name in named):
        raise Failure("say which set", "as in: petset scale sts/web --replicas 3")
    change = {"spec": {"replicas": replicas}}
    for resource, name in named:
        await client.patch(resource.id, name, change, namespace, subresource="scale")
        print(f"{targets.singular(resource)}/{name} scaled")
    return 0


@dataclass(frozen=True, slots=True)
class Logs:
    """Which log to print; `tail` None: all of it."""

    pod: str
    namespace: str
    container: str = ""
    follow: bool = False
    previous: bool = False
    tail: int | None = None
    timestamps: bool = False


async def logs(client: Client, wanted: Logs) -> int:
    """Print a container's log, of a pod or of the best pod of a workload."""
    pod = await members.pod_of(client, wanted.pod, wanted.namespace)
    query = [("follow", "true")] if wanted.follow else []
    query += [("previous", "true")] if wanted.previous else []
    query += [("timestamps", "true")] if wanted.timestamps else []
    query += [("container", wanted.container)] if wanted.container else []
    query += [("tailLines", str(wanted.tail))] if wanted.tail is not None else []
    path = registry.by_id("pods").path(wanted.namespace, pod, "log")
    async for piece in client.transport.stream(path, query=query):
        sys.stdout.buffer.write(piece)
        sys.stdout.flush()
    return 0
