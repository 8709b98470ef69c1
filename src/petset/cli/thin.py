"""`petset apply|get|delete|logs`: what a person needs on a machine without kubectl."""

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson
import yaml

from petset.api import registry
from petset.api.errors import StatusError, from_status
from petset.api.resource import Resource
from petset.cli import manifest, paths, pki, state, table
from petset.cli.failure import Failure
from petset.client.client import Client
from petset.client.tls import Tls
from petset.client.transport import TransportError

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
_FIRST = ("", "apps")


def connect(name: str) -> Client:
    """A client of cluster `name`, as its administrator. Fails when there is no such cluster."""
    where = state.find(name)
    cluster = state.load(where)
    if cluster is None:
        raise Failure(f"there is no cluster {name!r}", f"start one with: {_up(name)}")
    return connect_to(where, cluster)


def connect_to(where: paths.Paths, cluster: state.Cluster) -> Client:
    """A client of a cluster whose place is known."""
    admin = pki.pair(where.pki, "admin")
    transport = Tls(
        cluster.url,
        ca_file=str(pki.pair(where.pki, "ca").cert),
        cert_file=str(admin.cert),
        key_file=str(admin.key),
    )
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
    except BrokenPipeError:
        pass
    return 1


def find(word: str) -> Resource:
    """The resource that a person means: plural, singular, short name or kind, group optional."""
    name, _, group = word.lower().partition(".")
    matches = [
        r
        for r in registry.RESOURCES
        if name in {r.plural, r.singular, r.kind.lower(), *r.short_names}
        and (not group or r.group == group or r.group.startswith(group))
    ]
    if not matches:
        raise Failure(f"the server doesn't have a resource type {word!r}")
    return min(matches, key=lambda r: _FIRST.index(r.group) if r.group in _FIRST else len(_FIRST))


def targets(words: Sequence[str]) -> list[tuple[Resource, str]]:
    """`pod web-0 web-1`, `pods,svc`, `sts/web`, `all`: (resource, name or "") pairs."""
    if not words:
        raise Failure("say what: a resource type, as in `petset get pods`")
    if any("/" in w for w in words):
        pairs = [w.partition("/") for w in words]
        return [(find(kind), name) for kind, _, name in pairs]
    kinds: list[Resource] = []
    for word in words[0].split(","):
        kinds += _everything() if word == "all" else [find(word)]
    names = words[1:] or [""]
    return [(kind, name) for kind in kinds for name in names]


def _everything() -> list[Resource]:
    return [r for r in registry.RESOURCES if "all" in r.categories and "list" in r.verbs]


def kind_of(obj: dict[str, Any]) -> Resource:
    """The resource of an object by its apiVersion and kind."""
    group, _, version = obj["apiVersion"].rpartition("/")
    resource = registry.by_kind(group, version, obj["kind"])
    if resource is None:
        raise Failure(f'no matches for kind "{obj["kind"]}" in version "{obj["apiVersion"]}"')
    return resource


async def apply(client: Client, sources: list[str], namespace: str) -> int:
    """Create or change what the manifests say; prints one line each, like kubectl."""
    failed = False
    for obj in manifest.read(sources):
        resource = kind_of(obj)
        if resource.namespaced:
            meta = obj.setdefault("metadata", {})
            meta["namespace"] = meta.get("namespace") or namespace
        name = (obj.get("metadata") or {}).get("name", "")
        label = f"{_singular(resource)}/{name}"
        try:
            print(f"{label} {await _apply_one(client, resource, obj)}")
        except StatusError as error:
            failed = True
            print(f"Error from server ({error.reason}): {label}: {error.message}", file=sys.stderr)
    return 1 if failed else 0


def _singular(resource: Resource) -> str:
    return f"{resource.singular}.{resource.group}" if resource.group else resource.singular


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


async def delete(
    client: Client, words: list[str], sources: list[str], namespace: str, *, wait: bool
) -> int:
    """Delete objects named by words or manifests; waits until they are gone unless told not to."""
    pairs = [(r, n, namespace if r.namespaced else "") for r, n in targets(words)] if words else []
    for obj in manifest.read(sources):
        resource, meta = kind_of(obj), obj.get("metadata") or {}
        where = (meta.get("namespace") or namespace) if resource.namespaced else ""
        pairs.append((resource, meta.get("name", ""), where))
    failed = 0
    for resource, name, where in pairs:
        if not name:
            raise Failure("give the name of what to delete, as in `petset delete pod web-1`")
        try:
            answer = await client.delete(resource.id, name, where, propagation="Background")
        except StatusError as error:
            failed = 1
            print(f"Error from server ({error.reason}): {error.message}", file=sys.stderr)
            continue
        print(f'{_singular(resource)} "{name}" deleted')
        if wait:
            details = answer.get("details") or answer.get("metadata") or {}
            await _until_gone(client, resource, name, where, details.get("uid", ""))
    return failed


async def _until_gone(
    client: Client, resource: Resource, name: str, namespace: str, uid: str
) -> None:
    fields = f"metadata.name={name}"
    listed = await client.list(resource.id, namespace, fields=fields)
    if not any(not uid or i["metadata"]["uid"] == uid for i in listed.items):
        return
    events = client.watch(
        resource.id, namespace, fields=fields, resource_version=listed.resource_version
    )
    async for event in events:
        if event.type == "DELETED" and (not uid or event.obj["metadata"]["uid"] == uid):
            return


async def get(
    client: Client, words: list[str], namespace: str, *, output: str, labels: str, watch: bool
) -> int:
    """Print objects: the server's Table, or yaml, json, name."""
    pairs = targets(words)
    several = len({r.id for r, _ in pairs}) > 1
    code, printed = 0, False
    for resource, name in pairs:
        try:
            body = await _fetch(client, resource, name, namespace, labels, output)
        except StatusError as error:
            code = 1
            print(f"Error from server ({error.reason}): {error.message}", file=sys.stderr)
            continue
        text = _shown(body, resource, output, all_namespaces=not namespace, prefix=several)
        if text and several and printed:
            print()
        if text:
            print("\n".join(text), flush=True)
            printed = True
        if watch:
            await _follow(client, resource, name, namespace, labels, output, body)
    if not printed and not code and output not in {"json", "yaml"}:
        where = f" in {namespace} namespace" if namespace else ""
        print(f"No resources found{where}.", file=sys.stderr)
    return code


async def _fetch(
    client: Client, resource: Resource, name: str, namespace: str, labels: str, output: str
) -> dict[str, Any]:
    path = resource.path(namespace if resource.namespaced else "", name)
    query = [("labelSelector", labels)] if labels and not name else []
    accept = TABLE if output in {"", "wide"} else "application/json"
    answer = await client.transport.request("GET", path, query=query, accept=accept)
    raw = answer.body if isinstance(answer.body, bytes) else b"".join(answer.body)
    body: dict[str, Any] = orjson.loads(raw) if raw[:1] == b"{" else {}
    if answer.status >= 300:
        raise from_status(body or {"message": raw.decode(errors="replace")}, answer.status)
    return body


def _shown(
    body: dict[str, Any], resource: Resource, output: str, *, all_namespaces: bool, prefix: bool
) -> list[str]:
    if output == "json":
        return [orjson.dumps(body, option=orjson.OPT_INDENT_2).decode()]
    if output == "yaml":
        return [yaml.safe_dump(body, sort_keys=False).rstrip()]
    if output == "name":
        items = body.get("items", [body])
        return [f"{_singular(resource)}/{i['metadata']['name']}" for i in items]
    if not body.get("rows"):
        return []
    if prefix:
        for row in body["rows"]:
            row["cells"][0] = f"{_singular(resource)}/{row['cells'][0]}"
    namespaces = all_namespaces and resource.namespaced
    return table.lines(body, wide=output == "wide", namespaces=namespaces)


async def _follow(
    client: Client,
    resource: Resource,
    name: str,
    namespace: str,
    labels: str,
    output: str,
    body: dict[str, Any],
) -> None:
    query = [("watch", "true"), ("resourceVersion", body["metadata"]["resourceVersion"])]
    query += [("labelSelector", labels)] if labels else []
    query += [("fieldSelector", f"metadata.name={name}")] if name else []
    path = resource.path(namespace if resource.namespaced else "")
    definitions = body.get("columnDefinitions")
    rest = b""
    stream = client.transport.stream(path, query=query, accept=TABLE)
    async for piece in stream:
        *complete, rest = (rest + piece).split(b"\n")
        for line in complete:
            event = orjson.loads(line)
            shown = event["object"]
            if event["type"] == "BOOKMARK" or "rows" not in shown:
                continue
            shown["columnDefinitions"] = shown.get("columnDefinitions") or definitions
            for text in table.lines(
                shown, wide=output == "wide", namespaces=not namespace, header=False
            ):
                print(text, flush=True)


async def scale(client: Client, target: str, namespace: str, replicas: int) -> int:
    """Set spec.replicas through the scale subresource."""
    (resource, name), *_ = targets([target])
    change = {"spec": {"replicas": replicas}}
    await client.patch(resource.id, name, change, namespace, subresource="scale")
    print(f"{_singular(resource)}/{name} scaled")
    return 0


async def logs(
    client: Client, pod: str, namespace: str, *, container: str, follow: bool, previous: bool
) -> int:
    """Print a container's log."""
    query = [("follow", "true")] if follow else []
    query += [("previous", "true")] if previous else []
    query += [("container", container)] if container else []
    path = registry.by_id("pods").path(namespace, pod, "log")
    with contextlib.suppress(asyncio.CancelledError):
        async for piece in client.transport.stream(path, query=query):
            sys.stdout.buffer.write(piece)
            sys.stdout.flush()
    return 0
