"""Targets behind the front: bodies, patches, selectors, queries, against a server in process."""

import base64
import copy
import functools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

import orjson
import yaml

from petset.api import protobuf, registry
from petset.api.resource import Resource
from petset.apiserver.route import resolve
from petset.base.http import PeerCertificate, Request, Response, Stream
from tests.fuzz import mutate
from tests.fuzz.harness import Round
from tests.unit.apiserver.harness import Ear, Server, serving

ADMIN = PeerCertificate("fuzz", ("system:masters",))
SEEDS = Path(__file__).parents[1] / "scenarios" / "defaults"
JSON, YAML, PROTOBUF = "application/json", "application/yaml", protobuf.MEDIA
MERGE, STRATEGIC = "application/merge-patch+json", "application/strategic-merge-patch+json"
JSON_PATCH, APPLY = "application/json-patch+json", "application/apply-patch+yaml"
ACCEPTS = (
    "", "*/*", JSON, YAML, "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", PROTOBUF, "text/html",
    f"{PROTOBUF},application/json", "a;q=x", "application/yaml;q=0.5,*/*;q=0.1", ";;,,=",
)  # fmt: skip
HONEST = frozenset({501, 503, 504})
"""Statuses above 500 that say what is not there (yet), or is late."""
UPSTREAM = (
    b"resourceVersion should not be set on objects to be created",
    b"failed to create typed patch object (",
)
"""The 500s that upstream gives on purpose."""


@functools.cache
def seeds() -> tuple[dict[str, Any], ...]:
    """Whole and valid objects of many kinds."""
    found = []
    for file in sorted(SEEDS.glob("*.input.yaml")):
        found += [doc for doc in yaml.safe_load_all(file.read_text()) if doc]
    return tuple(found)


@functools.cache
def creatable() -> tuple[Resource, ...]:
    """What can be created."""
    return tuple(r for r in registry.RESOURCES if "create" in r.verbs)


def seed_of(rng: Random) -> tuple[Resource, dict[str, Any]]:
    """An object and its resource: a whole one, or one made from the schema."""
    if rng.random() < 0.5:
        obj = copy.deepcopy(rng.choice(seeds()))
        group, _, version = obj["apiVersion"].rpartition("/")
        for resource in creatable():
            if (resource.group, resource.version, resource.kind) == (group, version, obj["kind"]):
                return resource, obj
    resource = rng.choice(creatable())
    obj = mutate.of_type(rng, resource.schema)
    obj |= {"kind": resource.kind, "apiVersion": resource.api_version}
    if not isinstance(obj.get("metadata"), dict) or rng.random() < 0.8:
        obj["metadata"] = {"name": "x"}
    return resource, obj


def dump(value: Any) -> bytes:
    """`value` as JSON: numbers of any size, text of any kind."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def collection(resource: Resource) -> str:
    """The path of a resource's objects in the namespace `default`."""
    root = f"/apis/{resource.api_version}" if resource.group else f"/api/{resource.version}"
    middle = "/namespaces/default" if resource.namespaced else ""
    return f"{root}{middle}/{resource.plural}"


class Api:
    """A server that is asked things; every answer is looked at."""

    def __init__(self, server: Server) -> None:
        self.server = server

    async def ask(
        self, method: str, path: str, body: bytes = b"", media: str = "", **more: Any
    ) -> Response:
        """The answer, which is whole and no confession of a bug. Watches are opened and ended."""
        query, headers = more.get("query", ()), dict(more.get("headers", {}))
        if media:
            headers["content-type"] = media
        request = Request(method, path, list(query), headers, body, path, peer=ADMIN)
        reply = await self.server.app.dispatch(request)
        if isinstance(reply, Stream):
            ear = Ear(closed=True)  # the peer is gone already: what is sent first is still made
            await reply.run(ear)
            return Response(reply.status, reply.headers, b"")
        assert isinstance(reply, Response), reply
        raw = reply.body if isinstance(reply.body, bytes) else b"".join(reply.body)
        told = f"{method} {path} {list(query)} {media}: {reply.status} {raw[:400]!r}"
        fine = reply.status < 500 or reply.status in HONEST or any(u in raw for u in UPSTREAM)
        assert fine, f"{told} for {body[:2000]!r}"
        kinds = [value for name, value in reply.headers if name == "Content-Type"]
        assert len(kinds) == (reply.status != 304), told
        if raw and kinds[0] == JSON and not any(n == "Content-Encoding" for n, _ in reply.headers):
            answer = orjson.loads(raw)
            if reply.status >= 400:
                assert answer["kind"] == "Status", told
                assert answer["code"] == reply.status, told
                assert answer["message"], told
        return reply

    async def look(self, rng: Random, resource: Resource, name: str) -> None:
        """Read what was stored in every way."""
        where = collection(resource)
        for accept in rng.sample(ACCEPTS, 3):
            headers = {"accept": accept}
            if name:
                await self.ask("GET", f"{where}/{name}", headers=headers)
            await self.ask("GET", where, headers=headers, query=[("includeObject", "Object")])
        await self.ask("GET", where, query=[("watch", "1")])

    async def remove(self, resource: Resource, name: str) -> None:
        """Delete what was stored, finalizers or not."""
        where = f"{collection(resource)}/{quote(name, safe='')}"
        await self.ask("PATCH", where, b'{"metadata":{"finalizers":null}}', MERGE)
        options = b'{"gracePeriodSeconds":0,"propagationPolicy":"Background"}'
        await self.ask("DELETE", where, options, JSON)

    async def clean(self) -> None:
        """Leave nothing in the namespace `default` that a round has made."""
        store = self.server.store
        for item in store.list("").items:
            resource, _, rest = item.key.partition("/")
            namespace, _, name = rest.partition("/")
            if namespace == "default" or (not namespace and name == "x"):
                await self.remove(registry.by_id(resource), name)


@asynccontextmanager
async def api() -> AsyncIterator[Api]:
    async with serving(request_timeout_s=5.0) as server:
        yield Api(server)


def options(rng: Random) -> list[tuple[str, str]]:
    """Options of a write, rarely wrong ones."""
    found = []
    for name, values in (
        ("dryRun", ("All", "all")),
        ("fieldValidation", ("Ignore", "Warn", "Strict", "x")),
        ("fieldManager", ("me", mutate.LONG, "\u0000")),
        ("pretty", ("1", "x")),
        ("force", ("true", "x")),
    ):
        if rng.random() < 0.2:
            found.append((name, rng.choice(values)))
    return found


async def post(api_: Api, rng: Random, resource: Resource, body: bytes, media: str) -> None:
    """Create; then read, change and delete what was made."""
    headers = {"accept": rng.choice(ACCEPTS)} if rng.random() < 0.3 else {}
    where = collection(resource)
    answer = await api_.ask("POST", where, body, media, query=options(rng), headers=headers)
    if answer.status not in (200, 201, 202):
        return
    raw = answer.body if isinstance(answer.body, bytes) else b""
    try:
        name = str((orjson.loads(raw).get("metadata") or {}).get("name") or "x")
    except (orjson.JSONDecodeError, AttributeError):
        name = "x"
    if "get" in resource.verbs:
        await api_.look(rng, resource, name)
        await api_.ask("PUT", f"{where}/{name}", body, media, query=options(rng))
        if any(s.name == "status" for s in resource.subresources):
            await api_.ask("PUT", f"{where}/{name}/status", body, media)
            await api_.look(rng, resource, name)
        await api_.remove(resource, name)


@asynccontextmanager
async def json_bodies() -> AsyncIterator[Round]:
    """JSON objects of every kind, bent and broken."""
    async with api() as api_:

        async def play(rng: Random) -> None:
            resource, obj = seed_of(rng)
            if rng.random() < 0.8:
                obj = mutate.bent(rng, obj)
            body = dump(obj)
            if rng.random() < 0.25:
                body = mutate.mutated(rng, body)
            await post(api_, rng, resource, body, JSON)
            await api_.clean()

        yield play


YAMLISH = (
    b"a: &a {b: *a}\n", b"a: &x [1]\nb: [*x, *x, *x]\n", b"<<: {a: b}\n", b"? {a: b}\n: c\n",
    b"!!python/object:os.system x\n", b"!!binary |\n  aGk=\n", b"a: 0o17\n", b"a: 1_000\n",
    b"a: .inf\n", b"a: 2001-01-01\n", b"%YAML 1.1\n---\n", b"a: 'b\n", b'a: "\\ud800"\n',
    b"a: ~\n", b"- - - - a\n", b"a:\tb\n", b"\xef\xbb\xbf", b"\xff\xfea\x00", b"a: b: c\n",
)  # fmt: skip


@asynccontextmanager
async def yaml_bodies() -> AsyncIterator[Round]:
    """YAML objects of every kind, bent and broken."""
    async with api() as api_:

        async def play(rng: Random) -> None:
            resource, obj = seed_of(rng)
            if rng.random() < 0.6:
                obj = mutate.bent(rng, obj)
            style = rng.choice((None, False, True))
            body = yaml.safe_dump(obj, default_flow_style=style, allow_unicode=True).encode()
            if rng.random() < 0.5:
                body = mutate.mutated(rng, body, extra=YAMLISH)
            await post(api_, rng, resource, body, YAML)
            await api_.clean()

        yield play


@asynccontextmanager
async def protobuf_bodies() -> AsyncIterator[Round]:
    """Protobuf objects of every kind, and what is left of them after a few changes."""
    async with api() as api_:

        async def play(rng: Random) -> None:
            resource, obj = seed_of(rng)
            try:
                body = protobuf.encode(obj)
            except (KeyError, ValueError, AttributeError, TypeError, OverflowError):
                body = protobuf.encode(
                    {"kind": resource.kind, "apiVersion": resource.api_version}
                    | {"metadata": {"name": "x", "labels": {"a": "b"}}}
                )
            if rng.random() < 0.8:
                body = mutate.mutated(rng, body)
            await post(api_, rng, resource, body, PROTOBUF)
            await api_.clean()

        yield play


# -- patches --------------------------------------------------------------------------------------

OPERATIONS = ("add", "remove", "replace", "move", "copy", "test", "x")
PATHS = (
    "", "/", "/metadata", "/metadata/labels", "/metadata/labels/a", "/metadata/name", "/spec",
    "/metadata/annotations/a~1b", "/metadata/finalizers/-", "/metadata/finalizers/0", "/spec/-",
    "/spec/template/spec/containers/0", "/spec/template/spec/containers/-", "/spec/containers/00",
    "/metadata/managedFields", "/metadata/managedFields/0", "/data", "/kind", "/apiVersion",
    "/spec/containers/0/image", "/status", "no slash", "/~", "/~2", "/metadata/finalizers/-1",
    "/metadata/finalizers/99999999999999999999",
)  # fmt: skip
DIRECTIVES: tuple[tuple[str, Any], ...] = (
    ("$patch", "delete"), ("$patch", "replace"), ("$patch", "merge"), ("$patch", "x"),
    ("$patch", []), ("$retainKeys", ["a", {}]), ("$retainKeys", "x"),
    ("$setElementOrder/containers", [{"name": "c"}, {"name": "b"}]),
    ("$setElementOrder/finalizers", ["a", ["b"], {}]), ("$setElementOrder/x", None),
    ("$deleteFromPrimitiveList/finalizers", ["a/b", {}, [], None]),
    ("$deleteFromPrimitiveList/containers", {}), ("$deleteFromPrimitiveList/", [1]),
)  # fmt: skip


def json_patch(rng: Random) -> Any:
    """Operations, most of which could be meant."""
    found = []
    for _ in range(rng.randrange(6)):
        one: dict[str, Any] = {"op": rng.choice(OPERATIONS), "path": rng.choice(PATHS)}
        if rng.random() < 0.7:
            one["value"] = copy.deepcopy(rng.choice(mutate.JUNK))
        if rng.random() < 0.4:
            one["from"] = rng.choice(PATHS)
        found.append(one)
    return mutate.bent(rng, found) if found and rng.random() < 0.2 else found


def merge_patch(rng: Random, obj: dict[str, Any]) -> Any:
    """Parts of `obj`, bent, with directives here and there."""
    kept = [key for key in obj if key not in ("kind", "apiVersion") or rng.random() < 0.1]
    patch = mutate.bent(rng, {key: obj[key] for key in kept}, most=5)
    maps = [n[k] for n, k in mutate.places({"": patch}) if isinstance(n[k], dict)]
    for _ in range(rng.randrange(3)):
        key, value = rng.choice(DIRECTIVES)
        if maps:
            rng.choice(maps)[key] = copy.deepcopy(value)
    return patch


def stored_seed(rng: Random) -> dict[str, Any]:
    obj: dict[str, Any] = copy.deepcopy(rng.choice(seeds()))
    obj["metadata"] = {"labels": {"a": "b"}, "annotations": {"a/b": "c"}} | obj["metadata"]
    return obj


@asynccontextmanager
async def patches() -> AsyncIterator[Round]:
    """All four kinds of patches, against stored objects of many kinds."""
    async with api() as api_:

        async def play(rng: Random) -> None:
            obj = stored_seed(rng)
            group, _, version = obj["apiVersion"].rpartition("/")
            resource = next(
                r for r in creatable()
                if (r.group, r.version, r.kind) == (group, version, obj["kind"])
            )  # fmt: skip
            where, name = collection(resource), obj["metadata"].get("name", "x")
            await api_.ask("POST", where, orjson.dumps(obj), JSON)
            for _ in range(3):
                media = rng.choice((JSON_PATCH, MERGE, STRATEGIC, APPLY))
                patch = json_patch(rng) if media == JSON_PATCH else merge_patch(rng, obj)
                if media == APPLY and isinstance(patch, dict) and rng.random() < 0.9:
                    patch |= {"kind": obj["kind"], "apiVersion": obj["apiVersion"]}
                    if not isinstance(patch.get("metadata"), dict):
                        patch["metadata"] = {"name": name}
                body = dump(patch)
                if rng.random() < 0.15:
                    body = mutate.mutated(rng, body)
                query = options(rng)
                if media == APPLY and rng.random() < 0.9:
                    query.append(("fieldManager", rng.choice(("a", "b"))))
                below = rng.choice(("", "", "", "/status", "/scale"))
                await api_.ask("PATCH", f"{where}/{name}{below}", body, media, query=query)
            await api_.look(rng, resource, name)
            await api_.clean()

        yield play


# -- queries --------------------------------------------------------------------------------------

LABELS = (
    "a=b", "a==b", "a!=b", "a in (b,c)", "a notin (b)", "!a", "a", "a>1", "a<5", "a in ()", ",",
    "a=b,c!=d,!e", "x/y=z", "a in (b", "(", "a b", "=", "a=" + "b" * 70, "\u0000", "a in (,)",
)  # fmt: skip
FIELDS = (
    "metadata.name=x", "metadata.namespace!=default", "status.phase=Running", "spec.nodeName=",
    "metadata.name", "a=b", "metadata.name=\\,", "metadata.name=a\\", "=,=", "type==Normal",
    "involvedObject.kind=Pod", "metadata.name=a,metadata.name=b", "\\", "!=",
)  # fmt: skip
WORDS: dict[str, tuple[str, ...]] = {
    "labelSelector": LABELS,
    "fieldSelector": FIELDS,
    "limit": ("0", "1", "2", "500", "-1", "x", "9" * 5000, "1e3", " 1", "\u0661"),
    "resourceVersion": ("", "0", "1", "3", "99", "-1", "x", "9" * 20, "9" * 5000, "²"),
    "resourceVersionMatch": ("Exact", "NotOlderThan", "x"),
    "timeoutSeconds": ("0", "1", "-1", "x", "9" * 18, "9" * 5000),
    "allowWatchBookmarks": ("true", "x"),
    "sendInitialEvents": ("true", "false", "x"),
    "watch": ("0", "1", "true", "x"),
    "pretty": ("1",),
    "includeObject": ("None", "Object", "x"),
    "timeout": ("1s", "0s", "9" * 400, "9" * 400 + "s", "x"),
    "gracePeriodSeconds": ("0", "-1", "x", "9" * 5000),
    "propagationPolicy": ("Orphan", "x"),
    "exclude": ("x", "\u0000"),
    "verbose": ("",),
    "hash": ("x",),
}
OTHER_PATHS = (
    "", "/", "*", "//", "/api", "/apis", "/api/v1", "/apis/apps", "/apis/apps/v1", "/version",
    "/openapi/v2", "/openapi/v3", "/openapi/v3/apis/apps/v1", "/openapi/v3/x", "/metrics",
    "/readyz",    "/healthz/ping", "/livez/x", "/api/v1/namespaces/default",
    "/api/v1/namespaces/default/pods/x",
    "/api/v1/watch/pods", "/api/v1/watch", "/api/v1/namespaces//pods", "/api/v1/pods/x/y/z",
    "/api/v1/namespaces/default/pods/x/log", "/api/v1/namespaces/default/pods/x/exec",
    "/api/v1/nodes/n/proxy/\u0000", "/api/v1/namespaces/\u0000/pods", "/\u0000", "/api/\ud7ff/x/y",
    "/apis///", "/api/v1/namespaces/default/services/x/proxy", "/logs", "/api/v1/componentstatuses",
    "/api/v1/namespaces/default/status", "/api/v1/namespaces/default/finalize",
    "/api/v1/" + "a/" * 99,
)  # fmt: skip
METHODS = (
    "GET",
    "GET",
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "QUERY",
)


def token(rng: Random) -> str:
    """A continue token, mostly a wrong one."""
    body: Any = {
        "v": rng.choice(("meta.k8s.io/v1", "x", 1)),
        "rv": rng.choice((-1, 0, 1, 3, 99, 2**63, -5, "1", "x", 1.5, 1e300, None, [], True)),
        "start": rng.choice(
            ("configmaps/", "configmaps/default/a", "pods/", "", None, 1, "\u0000")
        ),
    }
    text = dump(mutate.bent(rng, body) if rng.random() < 0.3 else body)
    coded = base64.urlsafe_b64encode(text).decode().rstrip("=" * rng.randrange(2))
    return mutate.mutated(rng, coded.encode()).decode("latin-1") if rng.random() < 0.2 else coded


def query(rng: Random) -> list[tuple[str, str]]:
    """Parameters of all kinds of requests."""
    found = []
    for name in rng.sample(sorted(WORDS), rng.randrange(5)):
        text = rng.choice(WORDS[name])
        if rng.random() < 0.15:
            text = mutate.mutated(rng, text.encode()).decode("utf-8", "replace")
        found.append((name, text))
    if rng.random() < 0.3:
        found.append(("continue", token(rng)))
    return found


@asynccontextmanager
async def queries() -> AsyncIterator[Round]:
    """Selectors, options and tokens on every list; odd paths and methods."""
    async with api() as api_:
        for i in range(5):
            body = {"metadata": {"name": f"a{i}", "labels": {"a": "bcd"[i % 3]}}}
            await api_.ask(
                "POST", "/api/v1/namespaces/default/configmaps", orjson.dumps(body), JSON
            )

        async def play(rng: Random) -> None:
            resource = rng.choice(registry.RESOURCES)
            path = rng.choice((collection(resource), "/api/v1/configmaps", rng.choice(OTHER_PATHS)))
            if rng.random() < 0.2:
                path = mutate.mutated(rng, path.encode()).decode("utf-8", "replace")
            method = rng.choice(METHODS)
            asked = [] if method in ("POST", "PUT", "PATCH", "DELETE") else query(rng)
            if any(name == "resourceVersion" and text.strip("0123") for name, text in asked):
                asked = [(n, t) for n, t in asked if n != "resourceVersion" or not _ahead(t)]
            headers = {"accept": rng.choice(ACCEPTS)}
            if rng.random() < 0.2:
                headers["if-none-match"] = rng.choice(("*", '"x"', "\u0000"))
            await plain(api_, method, path, asked, headers)

        yield play


def _ahead(text: str) -> bool:
    """Whether the server would wait some seconds for that revision."""
    return text.isascii() and text.isdigit() and 3 < int(text[:25]) < 2**64


async def plain(
    api_: Api, method: str, path: str, asked: list[tuple[str, str]], headers: dict[str, str]
) -> None:
    """Ask; what is not below /api may answer in plain text and in forms of its own."""
    request = Request(method, path, asked, headers, b"", path, peer=ADMIN)
    reply = await api_.server.app.dispatch(request)
    if isinstance(reply, Stream):
        await reply.run(Ear(closed=True))
        return
    assert isinstance(reply, Response), reply
    assert reply.status < 500 or reply.status in HONEST, f"{method} {path} {asked}: {reply}"
    try:
        resolve(method, path, watch=False)
    except Exception:
        return
