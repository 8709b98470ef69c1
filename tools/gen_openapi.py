"""OpenAPI v3 documents of the stable group versions, made from the generator's facts."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

Json = dict[str, Any]
Names = Mapping[tuple[str, str, str], str]

META = "io.k8s.apimachinery.pkg.apis.meta.v1"
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
TITLE = {"title": "Kubernetes", "version": "v1.37.0"}
JSON = "application/json"
PATCHES = (
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)
WORDS = {
    "deletecollection": "delete Collection",
    "get": "read",
    "post": "create",
    "put": "replace",
}
"""First words of identifiers, where they are not the action; a second one comes after the group."""
SIGNPOSTS = (
    ("version", "io.k8s.apimachinery.pkg.version.Info", "CodeVersion", "version"),
    ("api", f"{META}.APIVersions", "CoreAPIVersions", "core"),
    ("apis", f"{META}.APIGroupList", "APIVersions", "apis"),
)
"""Path, what is there, and what the operation is called and gathered under."""
UNAUTHORIZED = {"401": {"description": "Unauthorized"}}
OWN_TEXT = {
    QUANTITY: "A fixed-point number with a suffix: 500m, 2, 1Gi, 3e6.",
    INT_OR_STRING: "An integer or a string (a port's name, a percentage).",
}


def _parameter(name: str, kind: str, description: str, where: str = "query") -> Json:
    parameter: Json = {
        "name": name,
        "in": where,
        "description": description,
        "schema": {"type": kind, "uniqueItems": True},
    }
    if where == "path":
        parameter["required"] = True
    return parameter


NAME = _parameter("name", "string", "name of the object", "path")
NAMESPACE = _parameter("namespace", "string", "object name and auth scope", "path")
PRETTY = _parameter("pretty", "string", "If 'true', then the output is indented.")
WRITE = [
    _parameter("dryRun", "string", "'All': run every stage of the request but do not store."),
    _parameter("fieldManager", "string", "The name of the actor that makes the change."),
    _parameter(
        "fieldValidation",
        "string",
        "What to do about unknown or duplicate fields: Ignore, Warn (the default) or Strict.",
    ),
]
FORCE = _parameter("force", "boolean", "Take over fields that other managers own (apply only).")
LIST = [
    _parameter("allowWatchBookmarks", "boolean", "Ask a watch for bookmarks."),
    _parameter("continue", "string", "The token of the next page."),
    _parameter("fieldSelector", "string", "Restrict to objects with these fields."),
    _parameter("labelSelector", "string", "Restrict to objects with these labels."),
    _parameter("limit", "integer", "The most objects in one answer."),
    _parameter("resourceVersion", "string", "Which state to answer from."),
    _parameter("resourceVersionMatch", "string", "How resourceVersion is meant."),
    _parameter("sendInitialEvents", "boolean", "Begin a watch with the present state."),
    _parameter("timeoutSeconds", "integer", "How long a list or watch may take."),
    _parameter("watch", "boolean", "Watch for changes instead of listing."),
]
DELETE = [
    WRITE[0],
    _parameter("gracePeriodSeconds", "integer", "Seconds before the object is deleted."),
    _parameter("orphanDependents", "boolean", "Deprecated: use propagationPolicy."),
    _parameter("propagationPolicy", "string", "Orphan, Background or Foreground."),
]
LOG = [
    _parameter("container", "string", "Which container; needed if there are several."),
    _parameter("follow", "boolean", "Keep sending what is written."),
    _parameter("limitBytes", "integer", "The most bytes to send."),
    _parameter("previous", "boolean", "Log of the previous instance."),
    _parameter("sinceSeconds", "integer", "Lines of the last seconds only."),
    _parameter("tailLines", "integer", "Only so many lines from the end."),
    _parameter("timestamps", "boolean", "Put a time before every line."),
]
EXEC = [
    _parameter("command", "string", "The command and its arguments."),
    _parameter("container", "string", "Which container; needed if there are several."),
    *(_parameter(n, "boolean", f"Redirect {n}.") for n in ("stderr", "stdin", "stdout")),
    _parameter("tty", "boolean", "Allocate a terminal."),
]
CONNECT = {
    "attach": EXEC[1:],
    "exec": EXEC,
    "log": LOG,
    "portforward": [_parameter("ports", "integer", "Ports to forward.")],
    "proxy": [_parameter("path", "string", "The path to ask for.")],
}


def make_documents(
    definitions: Mapping[str, Json], names: Names, resources: list[Json]
) -> Iterator[tuple[str, Json]]:
    """Path of each document (`version`, `apis`, `apis/apps`, `apis/apps/v1`), and it.

    There is one for each group version, and one for each path that says what others there are.
    """
    versions: dict[tuple[str, str], list[Json]] = {}
    for resource in resources:
        versions.setdefault((resource["group"], resource["version"]), []).append(resource)
    groups = dict.fromkeys(group for group, _ in versions if group)
    for path, name, word, tag in [*SIGNPOSTS, *map(_of_group, groups)]:
        yield path, _document(_signpost(path, name, word, tag), definitions)
    for (group, version), members in versions.items():
        root = f"apis/{group}/{version}" if group else f"api/{version}"
        about = f"{package_name(group)}{version.capitalize()}APIResources"
        paths = _signpost(root, f"{META}.APIResourceList", about, tag_of(group, version))
        for resource in members:
            paths |= _Paths(f"/{root}", resource, names).make()
        yield root, _document(paths, definitions)


def _of_group(group: str) -> tuple[str, str, str, str]:
    about = f"{package_name(group)}APIGroup"
    return f"apis/{group}", f"{META}.APIGroup", about, tag_of(group)


def _signpost(path: str, name: str, about: str, tag: str) -> Json:
    """The item of a path at which one thing can be read, a `name`."""
    answer = {"description": "OK", "content": {JSON: {"schema": _link(name)}}}
    operation = {
        "tags": [tag],
        "description": f"get {about}",
        "operationId": f"get{about}",
        "responses": {"200": answer, **UNAUTHORIZED},
    }
    return {f"/{path}/": {"get": operation}}


def _document(paths: Json, definitions: Mapping[str, Json]) -> Json:
    schemas: Json = {}
    todo = list(references(paths))
    while todo:
        name = todo.pop()
        if name not in schemas:
            schemas[name] = convert(definitions[name], name)
            todo += references(schemas[name])
    security = {
        "description": "Bearer Token authentication",
        "in": "header",
        "name": "authorization",
        "type": "apiKey",
    }
    return {
        "openapi": "3.0.0",
        "info": TITLE,
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {"BearerToken": security},
        },
    }


def references(node: Any) -> Iterator[str]:
    """Names of the types that a piece of schema refers to (a property may be called `$ref`)."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref" and isinstance(value, str):
                yield value.rsplit("/", 1)[1]
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


# -- schemas --------------------------------------------------------------------------------------


def convert(definition: Json, name: str = "") -> Json:
    """A definition of the source in the form of OpenAPI 3.0, nulls and enums taken out."""
    if name == QUANTITY:
        return {"description": OWN_TEXT[name], "oneOf": [{"type": "string"}, {"type": "number"}]}
    if name == INT_OR_STRING:
        kinds = [{"type": "integer"}, {"type": "string"}]
        return {"description": OWN_TEXT[name], "format": "int-or-string", "oneOf": kinds}
    if "$ref" in definition:
        rest = {k: v for k, v in definition.items() if k != "$ref"}
        return {"allOf": [_link(definition["$ref"].rsplit("/", 1)[1])], **rest}
    converted: Json = {}
    for key, value in definition.items():
        if key == "type":
            converted[key] = plain_type(definition)
        elif key == "properties":
            converted[key] = {k: convert(v) for k, v in value.items()}
        elif key in ("items", "additionalProperties"):
            converted[key] = convert(value)
        elif key != "enum":
            converted[key] = copy.deepcopy(value)
    return converted


def plain_type(definition: Json) -> str:
    """The type of a definition whose source also allows null."""
    kind = definition["type"]
    return next(str(k) for k in kind if k != "null") if type(kind) is list else str(kind)


def package_name(group: str) -> str:
    """A group in identifiers: `RbacAuthorization`."""
    return "".join(w.capitalize() for w in (group.removesuffix(".k8s.io") or "core").split("."))


def tag_of(*words: str) -> str:
    """What operations on a group, or on a version of it, are gathered under."""
    package = package_name(words[0])
    return "_".join((package[0].lower() + package[1:], *words[1:]))


def _link(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


# -- paths ----------------------------------------------------------------------------------------


class _Paths:
    """The path items of one resource."""

    def __init__(self, root: str, resource: Json, names: Names) -> None:
        self.root = root
        self.resource = resource
        self.names = names
        self.kind = (resource["group"], resource["version"], resource["kind"])
        self.scope = [NAMESPACE] if resource["namespaced"] else []

    def make(self) -> Json:
        plural, verbs = self.resource["plural"], set(self.resource["verbs"])
        base = f"{self.root}/namespaces/{{namespace}}" if self.scope else self.root
        paths: Json = {f"{base}/{plural}": self.collection(verbs)}
        if self.scope and "list" in verbs:
            paths[f"{self.root}/{plural}"] = {"get": self.list(True), "parameters": [PRETTY]}
        if "get" in verbs:
            paths[f"{base}/{plural}/{{name}}"] = self.item(self.kind, verbs, "")
        for sub in self.resource["subresources"]:
            where = f"{base}/{plural}/{{name}}/{sub['name']}"
            kind = (sub["group"], sub["version"], sub["kind"])
            if kind in self.names and sub["name"] not in CONNECT:
                paths[where] = self.item(kind, set(sub["verbs"]), sub["name"])
            else:
                paths[where] = self.connect(kind, sub)
        return paths

    def operation(
        self, action: str, kind: tuple[str, ...], sub: str = "", method: str = ""
    ) -> Json:
        """What an operation is called. `sub` is a subresource, `method` one that connects to it."""
        group, version, name = kind
        return {
            "tags": [tag_of(self.resource["group"], self.resource["version"])],
            "description": f"{action} {name}",
            "operationId": self.identify(WORDS.get(action, action), method, sub),
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": name},
        }

    def identify(self, word: str, method: str, sub: str, *, scoped: bool = True) -> str:
        """The operation's identifier, upstream's: `readCoreV1NamespacedPodStatus`."""
        word, _, many = word.partition(" ")
        about = package_name(self.resource["group"]) + self.resource["version"].capitalize()
        scope = "Namespaced" if self.scope and scoped else ""
        words = (word, about, many, method.capitalize(), scope, self.resource["kind"])
        return "".join((*words, sub[:1].upper() + sub[1:]))

    def answer(self, name: str, *more: str) -> Json:
        """Answers of type `name`: status 200 and those in `more`; and 401."""
        content = {JSON: {"schema": _link(name)}}
        words = {"200": "OK", "201": "Created", "202": "Accepted"}
        found = {s: {"description": words[s], "content": content} for s in ("200", *more)}
        return {**found, **UNAUTHORIZED}

    def list(self, everywhere: bool = False) -> Json:
        group, version, kind = self.kind
        answer = self.answer(self.names[group, version, f"{kind}List"])
        found = {**self.operation("list", self.kind), "parameters": LIST, "responses": answer}
        if everywhere:
            found["operationId"] = self.identify("list", "", "ForAllNamespaces", scoped=False)
        return found

    def collection(self, verbs: set[str]) -> Json:
        item: Json = {"parameters": [*self.scope, PRETTY]}
        if "list" in verbs:
            item["get"] = self.list()
        if "create" in verbs:
            item["post"] = self.write("post", self.kind, "")
        if "deletecollection" in verbs:
            item["delete"] = self.delete("deletecollection", [*DELETE, *LIST])
        return item

    def item(self, kind: tuple[str, str, str], verbs: set[str], sub: str) -> Json:
        item: Json = {"parameters": [NAME, *self.scope, PRETTY]}
        if "get" in verbs:
            answer = self.answer(self.names[kind])
            item["get"] = {**self.operation("get", kind, sub), "responses": answer}
        if "create" in verbs and sub:
            item["post"] = self.write("post", kind, sub)
        if "update" in verbs:
            item["put"] = self.write("put", kind, sub)
        if "patch" in verbs:
            item["patch"] = self.write("patch", kind, sub)
        if "delete" in verbs:
            item["delete"] = self.delete("delete", DELETE)
        return item

    def write(self, action: str, kind: tuple[str, str, str], sub: str) -> Json:
        name = self.names[kind]
        types = PATCHES if action == "patch" else (JSON,)
        sent = _link(f"{META}.Patch" if action == "patch" else name)
        return {
            **self.operation(action, kind, sub),
            "parameters": [*WRITE, FORCE] if action == "patch" else WRITE,
            "requestBody": {"content": {t: {"schema": sent} for t in types}, "required": True},
            "responses": self.answer(name, "201", *(["202"] if action == "post" else [])),
        }

    def delete(self, action: str, parameters: Any) -> Json:
        sent = {JSON: {"schema": _link(f"{META}.DeleteOptions")}}
        return {
            **self.operation(action, self.kind),
            "parameters": parameters,
            "requestBody": {"content": sent},
            "responses": self.answer(f"{META}.Status", *(["202"] if action == "delete" else [])),
        }

    def connect(self, kind: tuple[str, str, str], sub: Json) -> Json:
        item: Json = {"parameters": [NAME, *self.scope, *CONNECT[sub["name"]]]}
        answer = {
            "200": {"description": "OK", "content": {"*/*": {"schema": {"type": "string"}}}},
            **UNAUTHORIZED,
        }
        for verb in sub["verbs"]:
            method = {"create": "post", "update": "put"}.get(verb, verb)
            action = "get" if sub["name"] == "log" else "connect"
            operation = self.operation(action, kind, sub["name"], "" if action == "get" else method)
            item[method] = {**operation, "responses": answer}
        return item
