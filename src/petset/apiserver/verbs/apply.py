"""Server-side apply: objects, their status, and the scale of workloads."""

import functools
from dataclasses import dataclass, replace

from petset.api import bodies, decode, registry
from petset.api.errors import StatusError, bad_request, conflict
from petset.api.meta import MutableObj, Obj
from petset.api.patch import apply as server_side
from petset.api.patch import apply_check, managed
from petset.api.patch.apply import Configuration, Order
from petset.api.prune import prune
from petset.api.resource import Resource
from petset.apiserver import answer, authz, negotiate, ownership, write
from petset.apiserver.call import Call
from petset.apiserver.objects import Change
from petset.apiserver.verbs import options
from petset.base.http import Reply

IDENTITY = ("name", "namespace", "uid", "resourceVersion")
LABELLED_BY_STATUS = frozenset({"nodes", "pods"})
"""Resources whose labels and annotations may be written through /status."""


CACHED_BYTES_MAX = 16 * 1024
"""Bodies up to this size are remembered: controllers apply the same ones over and over."""


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration that is applied. Shared between calls.

    Attributes:
        sent: what the client sent.
        wanted: what of it the request can write, with canonical values and the URL's name; what
            is empty is still in it, for it is owned.
        duplicates: fields that were sent twice.
    """

    sent: Obj
    wanted: Configuration
    duplicates: list[str]


async def apply(call: Call) -> Reply:
    """Apply the configuration in the body. 201 if that makes the object."""
    call.format = negotiate.choose(call.request.headers.get("accept", ""), negotiate.OBJECT)
    options.read_write_options(call, "PatchOptions", applies=True)
    call.applies = True
    config = read_config(call, call.route.resource)
    for _ in range(write.WRITE_TRIES):
        exists = _exists(call)
        try:
            if exists or call.route.subresource:
                about = write.STATUS if call.route.subresource == "status" else write.MAIN
                written = await write.update(call, _change(call, config), about=about)
                return answer.stored(call, written.value)
            return answer.stored(call, (await _create(call, config)).value, 201)
        except StatusError as error:
            raced = error.reason == ("NotFound" if exists else "AlreadyExists")
            if not raced or call.route.subresource or _exists(call) is exists:
                raise
    raise conflict(call.route.resource.id, call.route.name)


def _exists(call: Call) -> bool:
    return call.backend.store.head(call.route.key) is not None


def read_config(call: Call, kind: Resource) -> Config:
    """The configuration in the body, checked.

    Raises StatusError 400 for what is no object of the kind, 500 (as upstream) for fields that
    the kind does not have.
    """
    raw, route = call.request.body, call.route
    looks = call.validation != "Ignore"
    read = _read if len(raw) <= CACHED_BYTES_MAX else _read.__wrapped__
    where = (route.stored.id, route.namespace, route.name, route.subresource)
    config = read(raw, kind.schema, where, looks)
    if config.duplicates:
        texts = decode.strict_texts((), config.duplicates)
        if call.validation == "Strict":
            raise bad_request(f"error strict decoding YAML: {', '.join(texts)}")
        call.warn(texts)
    return config


@functools.lru_cache(maxsize=128)
def _read(raw: bytes, schema: str, where: tuple[str, str, str, str], looks: bool) -> Config:
    kind = _KINDS[schema]
    sent, twice = _parse(raw, looks)
    version, name = sent.get("apiVersion"), sent.get("kind")
    version = version if isinstance(version, str) else ""
    if name != kind.kind or version.rpartition("/")[0] != kind.group:
        raise bad_request(f"invalid object type: {apply_check.gvk(sent)}")
    if version != kind.api_version:
        raise bad_request(
            "Incorrect version specified in apply patch. Specified patch version: "
            f"{version}, expected: {kind.api_version}"
        )
    meta = sent.get("metadata")
    if isinstance(meta, dict) and meta.get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")
    apply_check.check(sent, schema)
    wanted = _about(prune(schema, sent, empty=True), kind, where)
    return Config(sent, server_side.configuration(schema, wanted), twice if looks else [])


def _parse(raw: bytes, looks: bool) -> tuple[MutableObj, list[str]]:
    """The body, JSON or YAML, and its duplicate fields where those are asked for."""
    if raw.lstrip()[:1] == b"{":
        try:
            return bodies.parse_body(raw, duplicates=looks)
        except StatusError:
            pass  # YAML may begin like JSON
    try:
        return bodies.parse_body(raw, "yaml", duplicates=looks)
    except StatusError as error:
        raise bad_request(f"error decoding YAML: {error.message}") from None


def _about(config: MutableObj, kind: Resource, where: tuple[str, str, str, str]) -> MutableObj:
    """The part of a configuration that a request can write, with the URL's name in it."""
    resource_id, namespace, name, subresource = where
    meta = config["metadata"] = config.get("metadata") or {}
    meta.setdefault("name", name)
    if namespace:
        meta.setdefault("namespace", namespace)
    if subresource == "status":
        kept = list(IDENTITY)
        if resource_id in LABELLED_BY_STATUS:
            kept += ["labels", "annotations"]
        config["metadata"] = {k: meta[k] for k in kept if k in meta}
        parts = ("kind", "apiVersion", "metadata", "status")
        return {k: v for k, v in config.items() if k in parts}
    if kind.has_status or subresource:
        config.pop("status", None)
    return config


def order(call: Call) -> Order:
    """Who applies, whether over conflicts, and when."""
    return Order(ownership.writer(call, managed.APPLY), call.force, ownership.now(call))


async def _create(call: Call, config: Config) -> write.Written:
    authz.check(call.identity, replace(call.route, verb="create"))
    wanted = prune(call.route.resource.schema, config.wanted.obj)
    meta = wanted["metadata"]
    if meta.get("uid"):
        why = (
            f"uid mismatch: the provided object specified uid {meta['uid']}, and no existing "
            "object was found"
        )
        raise conflict(call.route.resource.id, call.route.name, why)
    if meta.get("resourceVersion"):
        raise conflict(call.route.resource.id, call.route.name)
    entries = server_side.create(config.wanted, order(call))
    return await write.create(call, call.inward(wanted), entries)


def _change(call: Call, config: Config) -> Change:
    def change(old: MutableObj) -> MutableObj:
        obj = merged(call, call.outward(old), config.wanted)
        if call.manager == server_side.KUBECTL:
            obj = dict(server_side.note_last_applied(obj, config.sent))
        return call.inward(obj)

    return change


def merged(call: Call, live: MutableObj, wanted: Configuration) -> MutableObj:
    """`live` with `wanted` applied, and the managedFields that go with that."""
    meta = live["metadata"] = dict(live["metadata"])
    entries = meta.pop("managedFields", ())
    obj, entries = server_side.apply(ownership.forms(call), live, wanted, entries, order(call))
    return {**obj, "metadata": {**obj["metadata"], "managedFields": entries}}


def scaled(call: Call, config: Config, parent: MutableObj) -> MutableObj:
    """`parent` with the replicas of an applied Scale, and the managedFields that go with that."""
    scale = config.wanted.obj
    meta = {k: v for k, v in scale["metadata"].items() if k in IDENTITY}
    part = {"kind": parent["kind"], "apiVersion": parent["apiVersion"], "metadata": meta}
    if "replicas" in (scale.get("spec") or {}):
        part["spec"] = {"replicas": scale["spec"]["replicas"]}
    wanted = server_side.configuration(call.route.resource.schema, part)
    return merged(call, parent, wanted)


SCALE = Resource(
    "autoscaling", "v1", "scales", "scale", "Scale", True, "io.k8s.api.autoscaling.v1.Scale"
)
_KINDS = {r.schema: r for r in (*registry.RESOURCES, SCALE)}
