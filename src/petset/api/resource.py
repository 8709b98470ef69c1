"""What a resource is: its names, scope, verbs and subresources, as discovery tells them."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Subresource:
    """A subresource: its name and the kind that is sent and answered, with its group/version."""

    name: str
    kind: str
    group: str
    version: str
    verbs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of one group and version.

    Attributes:
        schema: name of its type in the schema table, e.g. `io.k8s.api.core.v1.Pod`.
        id: `plural` or `plural.group`: names the resource in keys, errors and the client.
        api_version: `v1` or `group/version`.
        has_status: whether it has a /status subresource.
    """

    group: str
    version: str
    plural: str
    singular: str
    kind: str
    namespaced: bool
    schema: str
    verbs: tuple[str, ...] = ()
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[Subresource, ...] = ()
    id: str = field(init=False, repr=False, compare=False)
    api_version: str = field(init=False, repr=False, compare=False)
    has_status: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        derived = {
            "id": f"{self.plural}.{self.group}" if self.group else self.plural,
            "api_version": f"{self.group}/{self.version}" if self.group else self.version,
            "has_status": any(s.name == "status" for s in self.subresources),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)  # asked for on every request

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of the collection, an object or a subresource."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        parts = [root]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [p for p in (name, subresource) if p]
        return "/".join(parts)
