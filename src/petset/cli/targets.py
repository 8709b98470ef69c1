"""Which resource a person means: `pods`, `sts/web`, `all`."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from petset.api import registry
from petset.api.resource import Resource
from petset.cli.failure import Failure

_NAME = re.compile(r"[A-Za-z0-9.,:_/-]+")
_FIRST = ("", "apps")
"""Groups that win when a short name is known in several."""


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
        raise Failure(f'the server doesn\'t have a resource type "{word}"')
    return min(matches, key=lambda r: _FIRST.index(r.group) if r.group in _FIRST else len(_FIRST))


def parse(words: Sequence[str]) -> list[tuple[Resource, str]]:
    """`pod web-0 web-1`, `pods,svc`, `sts/web`, `all`: (resource, name or "") pairs."""
    if not words:
        raise Failure("say what: a resource type, as in `petset get pods`")
    for word in words:
        if not _NAME.fullmatch(word):
            raise Failure(f"{word!r} is neither a type nor a name")
    if any("/" in w for w in words):
        pairs = [w.partition("/") for w in words]
        for kind, slash, name in pairs:
            if not slash or not name or "/" in name or "," in kind:
                raise Failure(
                    f"{kind}{slash}{name}: beside TYPE/NAME every word has to be TYPE/NAME"
                )
        return [(find(kind), name) for kind, _, name in pairs]
    kinds: list[Resource] = []
    for word in words[0].split(","):
        kinds += _everything() if word == "all" else [find(word)]
    names = words[1:] or [""]
    return [(kind, name) for kind in kinds for name in names]


def _everything() -> list[Resource]:
    return [r for r in registry.RESOURCES if "all" in r.categories and "list" in r.verbs]


def kind_of(obj: Mapping[str, Any]) -> Resource:
    """The resource of an object by its apiVersion and kind."""
    group, _, version = str(obj["apiVersion"]).rpartition("/")
    resource = registry.by_kind(group, version, str(obj["kind"]))
    if resource is None:
        raise Failure(f'no matches for kind "{obj["kind"]}" in version "{obj["apiVersion"]}"')
    return resource


def singular(resource: Resource) -> str:
    """How kubectl calls one object of it: `pod`, `statefulset.apps`."""
    return f"{resource.singular}.{resource.group}" if resource.group else resource.singular
