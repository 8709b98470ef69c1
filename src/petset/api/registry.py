"""Every resource that the API knows: by id, by path, by kind; groups in discovery order.

The list is generated (tools/gen_schema.py, `data/resources.json`): all stable group versions of
Kubernetes 1.37; alpha and beta versions are left out.

Invariant: every resource id is stored in exactly one version (`storage`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from petset.api import schema
from petset.api.resource import Resource, Subresource


def _resource(entry: dict[str, Any]) -> Resource:
    entry["subresources"] = tuple(
        Subresource(**{**s, "verbs": tuple(s["verbs"])}) for s in entry["subresources"]
    )
    for field in ("verbs", "short_names", "categories"):
        entry[field] = tuple(entry[field])
    return Resource(**entry)


RESOURCES: tuple[Resource, ...] = tuple(
    map(_resource, orjson.loads(schema.read_data("resources.json")))
)
"""All resources of all versions, in discovery order (a group's preferred version first)."""

_BY_PATH = {(r.group, r.version, r.plural): r for r in RESOURCES}
_BY_KIND = {(r.group, r.version, r.kind): r for r in RESOURCES}

_STORED_AS = {
    ("autoscaling", "v1", "horizontalpodautoscalers"): (
        "autoscaling",
        "v2",
        "horizontalpodautoscalers",
    ),
    ("events.k8s.io", "v1", "events"): ("", "v1", "events"),
}
"""Served versions whose objects lie in the store in another form (see `api.convert`)."""


def storage(resource: Resource) -> Resource:
    """The resource in whose form and under whose id objects of `resource` are stored."""
    path = (resource.group, resource.version, resource.plural)
    return _BY_PATH[_STORED_AS.get(path, path)]


_BY_ID: Mapping[str, Resource] = {
    r.id: r for r in reversed(RESOURCES) if storage(r) is r or storage(r).id != r.id
}
GROUPS: tuple[str, ...] = tuple(dict.fromkeys(r.group for r in RESOURCES))
"""All groups in discovery order, the core group ("") first."""


def by_id(resource_id: str) -> Resource:
    """The resource called `pods` or `statefulsets.apps`, in its storage version if it has one.

    Raises KeyError.
    """
    return _BY_ID[resource_id]


def by_path(group: str, version: str, plural: str) -> Resource | None:
    """The resource served at /apis/<group>/<version>/<plural> (or /api/<version>)."""
    return _BY_PATH.get((group, version, plural))


def by_kind(group: str, version: str, kind: str) -> Resource | None:
    """The resource whose objects are of this kind."""
    return _BY_KIND.get((group, version, kind))


def by_api_version(api_version: str, kind: str) -> Resource | None:
    """The resource of an object's own words (`apps/v1`, `StatefulSet`)."""
    group, _, version = api_version.rpartition("/")
    return by_kind(group, version, kind)


def versions(group: str) -> tuple[str, ...]:
    """The versions of a group, the preferred one first. Empty for an unknown group."""
    return tuple(dict.fromkeys(r.version for r in RESOURCES if r.group == group))


def members(group: str, version: str) -> Sequence[Resource]:
    """The resources of one group version, by name. Empty for an unknown one."""
    return [r for r in RESOURCES if r.group == group and r.version == version]


def served(resource_id: str) -> Sequence[Resource]:
    """All served forms of what is stored under `resource_id`, the stored one first."""
    stored = _BY_ID[resource_id]
    return [stored, *(r for r in RESOURCES if r is not stored and storage(r) is stored)]
