"""`petset get`: the server's Tables, or objects as yaml, json or names, as kubectl prints them."""

import json
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import orjson

from petset.api.errors import StatusError, from_status
from petset.api.resource import Resource
from petset.cli import table, targets
from petset.cli.failure import Failure
from petset.client.client import Client

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
Target = tuple[Resource, str]


@dataclass(frozen=True, slots=True)
class Get:
    """What to get. `namespace` "": of all; `output`: "", wide, yaml, json or name."""

    words: Sequence[str]
    namespace: str
    output: str = ""
    labels: str = ""
    watch: bool = False

    @property
    def is_table(self) -> bool:
        """Whether Tables are wanted, not objects."""
        return self.output in {"", "wide"}


async def get(client: Client, wanted: Get) -> int:
    """Print objects, and with `watch` their changes; the exit code."""
    pairs = targets.parse(wanted.words)
    kinds = list({r.id: r for r, _ in pairs}.values())
    if wanted.watch and len(kinds) > 1:
        raise Failure("only one type can be watched at a time")
    if any(n for _, n in pairs) and wanted.labels:
        raise Failure("give names or a label selector, not both")
    if wanted.is_table:
        return await _tables(client, wanted, pairs, several=len(kinds) > 1)
    return await _objects(client, wanted, pairs)


async def _tables(client: Client, wanted: Get, pairs: Sequence[Target], *, several: bool) -> int:
    printed = False
    errors: list[StatusError] = []
    for resource, group in groupby(pairs, key=lambda pair: pair[0]):
        bodies = []
        for _, name in group:
            try:
                bodies.append(await _fetch(client, wanted, resource, name))
            except StatusError as error:
                errors.append(error)
        printer = table.Printer(
            wide=wanted.output == "wide",
            namespaces=not wanted.namespace and resource.namespaced,
            prefix=targets.singular(resource) if several else "",
        )
        if lines := printer.lines(bodies):
            print("\n".join(["", *lines] if printed else lines), flush=True)
            printed = True
        if wanted.watch and bodies:
            async for event in _changes(client, wanted, pairs[0], bodies[0]):
                for line in printer.lines([event["object"]]):
                    print(line, flush=True)
    for refusal in errors:  # behind the tables, as kubectl does
        _complain(refusal)
    if not printed and not errors:
        _say_nothing_found(wanted, [r for r, _ in pairs])
    return 1 if errors else 0


async def _objects(client: Client, wanted: Get, pairs: Sequence[Target]) -> int:
    code, found, single = 0, list[dict[str, Any]](), len(pairs) == 1 and bool(pairs[0][1])
    body: dict[str, Any] = {}
    for resource, name in pairs:
        try:
            body = await _fetch(client, wanted, resource, name)
        except StatusError as error:
            code = 1
            _complain(error)
            continue
        kind = {"apiVersion": resource.api_version, "kind": resource.kind}
        found += [{**kind, **item} for item in body.get("items", ())] if not name else [body]
    if wanted.output == "name":
        _names(found)
        if not found and not code:
            _say_nothing_found(wanted, [r for r, _ in pairs])
    elif not (single and not found):
        empty = {"apiVersion": "v1", "items": found, "kind": "List"}
        _document(found[0] if single else {**empty, "metadata": {"resourceVersion": ""}}, wanted)
    if wanted.watch and body:
        async for event in _changes(client, wanted, pairs[0], body):
            if wanted.output == "yaml":
                print("---")
            if wanted.output == "name":
                _names([event["object"]])
            else:
                _document(event["object"], wanted)
    return code


def _names(found: Sequence[dict[str, Any]]) -> None:
    for obj in found:
        print(f"{targets.singular(targets.kind_of(obj))}/{obj['metadata']['name']}", flush=True)


def _document(obj: dict[str, Any], wanted: Get) -> None:
    for item in obj.get("items", [obj]):
        (item.get("metadata") or {}).pop("managedFields", None)
    if wanted.output == "yaml":
        from petset.cli import yamlout

        sys.stdout.write(yamlout.dump(obj))
    else:
        text = json.dumps(obj, indent=4, sort_keys=True, ensure_ascii=False)
        for char in "<>&\u2028\u2029":  # as Go writes JSON
            text = text.replace(char, f"\\u{ord(char):04x}")
        print(text)
    sys.stdout.flush()


def _complain(error: StatusError) -> None:
    print(f"Error from server ({error.reason}): {error.message}", file=sys.stderr)


def _say_nothing_found(wanted: Get, kinds: Sequence[Resource]) -> None:
    within = wanted.namespace and all(r.namespaced for r in kinds)
    where = f" in {wanted.namespace} namespace." if within else ""
    print(f"No resources found{where}", file=sys.stderr)


async def _fetch(client: Client, wanted: Get, resource: Resource, name: str) -> dict[str, Any]:
    if name and resource.namespaced and not wanted.namespace:
        raise Failure("a resource cannot be retrieved by name across all namespaces")
    path = resource.path(wanted.namespace if resource.namespaced else "", name)
    query = [("labelSelector", wanted.labels)] if wanted.labels else []
    accept = TABLE if wanted.is_table else "application/json"
    answer = await client.transport.request("GET", path, query=query, accept=accept)
    raw = answer.body if isinstance(answer.body, bytes) else b"".join(answer.body)
    body: dict[str, Any] = orjson.loads(raw) if raw[:1] == b"{" else {}
    if answer.status >= 300:
        raise from_status(body or {"message": raw.decode(errors="replace")}, answer.status)
    return body


async def _changes(
    client: Client, wanted: Get, target: Target, body: dict[str, Any]
) -> AsyncIterator[dict[str, Any]]:
    """Watch events after what `body` showed; an error of the watch is raised."""
    resource, name = target
    query = [("watch", "true"), ("resourceVersion", body["metadata"]["resourceVersion"])]
    query += [("labelSelector", wanted.labels)] if wanted.labels else []
    query += [("fieldSelector", f"metadata.name={name}")] if name else []
    path = resource.path(wanted.namespace if resource.namespaced else "")
    rest = b""
    accept = TABLE if wanted.is_table else "application/json"
    async for piece in client.transport.stream(path, query=query, accept=accept):
        *complete, rest = (rest + piece).split(b"\n")
        for line in complete:
            event: dict[str, Any] = orjson.loads(line)
            if event["type"] == "ERROR":
                raise from_status(event["object"], int(event["object"].get("code") or 500))
            if event["type"] != "BOOKMARK":
                yield event
