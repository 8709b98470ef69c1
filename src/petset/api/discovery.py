"""Discovery documents, made from the registry: legacy (one per version) and aggregated.

The aggregated form is what kubectl asks for; it is distinguished by its Content-Type only
(`AGGREGATED`). The legacy form stays needed: drain and `auth can-i` read it.
"""

import base64
import functools
import hashlib
from collections.abc import Iterator

import orjson

from petset.api import registry
from petset.api.meta import MutableObj
from petset.api.resource import Resource, Subresource

AGGREGATED = {
    version: f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
    for version in ("v2", "v2beta1")
}
"""Content-Type of the aggregated form, by its version. Exactly this has to be sent."""


def api_versions(server_address: str) -> MutableObj:
    """GET /api: the versions of the core group. `server_address` is host:port."""
    return {
        "kind": "APIVersions",
        "versions": list(registry.versions("")),
        "serverAddressByClientCIDRs": [
            {"clientCIDR": "0.0.0.0/0", "serverAddress": server_address}
        ],
    }


def groups() -> MutableObj:
    """GET /apis: every named group."""
    named = [_group(g) for g in registry.GROUPS if g]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": named}


def group(name: str) -> MutableObj | None:
    """GET /apis/<name>; None if there is no such group."""
    if not name or name not in registry.GROUPS:
        return None
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name)}


def _group(name: str) -> MutableObj:
    versions = [{"groupVersion": f"{name}/{v}", "version": v} for v in registry.versions(name)]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def resources(group: str, version: str) -> MutableObj | None:
    """GET /api/v1, /apis/<group>/<version>; None if there is no such version."""
    members = registry.members(group, version)
    if not members:
        return None
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": members[0].api_version,
        "resources": [entry for member in members for entry in _entries(member)],
    }


def _entries(resource: Resource) -> Iterator[MutableObj]:
    entry: MutableObj = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if "watch" in resource.verbs:
        entry["storageVersionHash"] = storage_version_hash(resource)
    yield entry
    for subresource in resource.subresources:
        yield _subresource(resource, subresource)


def _subresource(resource: Resource, subresource: Subresource) -> MutableObj:
    entry: MutableObj = {
        "name": f"{resource.plural}/{subresource.name}",
        "singularName": "",
        "namespaced": resource.namespaced,
    }
    if (subresource.group, subresource.version) != (resource.group, resource.version):
        entry |= {"group": subresource.group, "version": subresource.version}
    return {**entry, "kind": subresource.kind, "verbs": list(subresource.verbs)}


def storage_version_hash(resource: Resource) -> str:
    """Upstream's short hash of the kind that objects are stored as."""
    stored = registry.storage(resource)
    name = f"{stored.group}/{stored.version}/{stored.kind}"
    return base64.b64encode(hashlib.sha256(name.encode()).digest()[:8]).decode()


def aggregated(root: str, version: str = "v2") -> MutableObj:
    """GET /api or /apis (`root` "api" or "apis") in the aggregated form."""
    chosen = [g for g in registry.GROUPS if bool(g) is (root == "apis")]
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": [_group_discovery(g) for g in chosen],
    }


@functools.cache
def aggregated_bytes(root: str, version: str = "v2") -> tuple[bytes, str]:
    """`aggregated` as JSON, and its ETag (quoted)."""
    data = orjson.dumps(aggregated(root, version))
    return data, f'"{hashlib.sha256(data).hexdigest()[:32].upper()}"'


def _group_discovery(name: str) -> MutableObj:
    return {
        "metadata": {"name": name, "creationTimestamp": None},
        "versions": [
            {
                "version": version,
                "resources": [_discovered(r) for r in registry.members(name, version)],
                "freshness": "Current",
            }
            for version in registry.versions(name)
        ],
    }


def _discovered(resource: Resource) -> MutableObj:
    entry: MutableObj = {
        "resource": resource.plural,
        "responseKind": _kind(resource),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if resource.subresources:
        entry["subresources"] = [
            {"subresource": s.name, "responseKind": _kind(s), "verbs": list(s.verbs)}
            for s in resource.subresources
        ]
    return entry


def _kind(of: Resource | Subresource) -> MutableObj:
    return {"group": of.group, "version": of.version, "kind": of.kind}
