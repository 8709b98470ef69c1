"""Formats of names, labels and other identifiers, and the rules of object metadata.

A format function returns the faults of a text as words, none if it is well formed; words and
limits are upstream's (wire reference, "Errors").
"""

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from petset.api import check
from petset.api.check import Faults
from petset.api.errors import FieldError, forbidden_field, invalid, required, too_long
from petset.api.meta import Obj

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_FINE_CONFIG_KEY = re.compile(r"[-_a-zA-Z0-9][-._a-zA-Z0-9]{0,252}")
"""Fast path: accepts most valid keys without the full check."""
_FINE_NAME = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
"""What every rule of names accepts, but for addresses; namespaces too."""
_SHARED = frozenset({"labels", "annotations", "ownerReferences", "finalizers"})
_FINE_CONFIG_KEYS = re.compile(f"(?:{_FINE_CONFIG_KEY.pattern}/)*")

_QUALIFIED_WORDS = (
    "must consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character"
)
_SUBDOMAIN_WORDS = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, "
    "'-' or '.', and must start and end with an alphanumeric character"
)

Rule = Callable[[str], list[str]]
"""Messages for what is wrong with a text."""

REMEMBERED_MAX = 1024
REMEMBERED_LENGTH_MAX = 128
ANNOTATIONS_MAX_BYTES = 256 * 1024
_STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")


def _matches(pattern: str, value: str) -> bool:
    return _compiled(pattern).fullmatch(value) is not None


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern.replace("(", "(?:"), re.ASCII)  # the groups are never read


def _remembered(rule: Rule) -> Rule:
    """`rule`, remembering what it found in short texts: the same few keys come over and over."""
    recall = functools.lru_cache(maxsize=REMEMBERED_MAX)(lambda value: tuple(rule(value)))

    @functools.wraps(rule)
    def judge(value: str) -> list[str]:
        return list(recall(value)) if len(value) <= REMEMBERED_LENGTH_MAX else rule(value)

    return judge


def _no_match(words: str, pattern: str, *examples: str) -> str:
    quoted = " or ".join(f"'{e}', " for e in examples)
    return f"{words} (e.g. {quoted}regex used for validation is '{pattern}')"


def _longer_than(limit: int, value: str) -> list[str]:
    return [f"must be no more than {limit} bytes"] if len(value.encode()) > limit else []


def dns_label(value: str) -> list[str]:
    """RFC 1123 label: at most 63 of lower case letters, digits and `-`."""
    faults = _longer_than(63, value)
    if _matches(_LABEL, value):
        return faults
    if _matches(_SUBDOMAIN, value):
        faults.append("must not contain dots")
    else:
        words = (
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters "
            "or '-', and must start and end with an alphanumeric character"
        )
        faults.append(_no_match(words, _LABEL, "my-name", "123-abc"))
    return faults


_namespace = _remembered(dns_label)


def dns_subdomain(value: str) -> list[str]:
    """RFC 1123 subdomain: labels joined by dots, at most 253."""
    faults = _longer_than(253, value)
    if not _matches(_SUBDOMAIN, value):
        faults.append(_no_match(_SUBDOMAIN_WORDS, _SUBDOMAIN, "example.com"))
    return faults


def dns_label_1035(value: str) -> list[str]:
    """RFC 1035 label: like `dns_label` but starting with a letter (names of Services)."""
    faults = _longer_than(63, value)
    if not _matches(_LABEL_1035, value):
        words = (
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', "
            "start with an alphabetic character, and end with an alphanumeric character"
        )
        faults.append(_no_match(words, _LABEL_1035, "my-name", "abc-123"))
    return faults


def path_segment(value: str) -> list[str]:
    """A name that may hold anything that fits in one segment of a URL path (RBAC)."""
    if value in (".", ".."):
        return [f"may not be '{value}'"]
    return [f"may not contain '{c}'" for c in "/%" if c in value]


@_remembered
def qualified_name(value: str) -> list[str]:
    """A key: `name` or `prefix/name`, the prefix a DNS subdomain."""
    parts = value.split("/")
    if len(parts) > 2:
        words = _no_match(
            f"a qualified name {_QUALIFIED_WORDS}", _QUALIFIED, "MyName", "my.name", "123-abc"
        )
        return [
            f"{words} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        ]
    faults: list[str] = []
    name = parts[-1]
    if len(parts) == 2:
        if parts[0]:
            faults += [f"prefix part {m}" for m in dns_subdomain(parts[0])]
        else:
            faults.append("prefix part must be non-empty")
    if not name:
        faults.append("name part must be non-empty")
    faults += [f"name part {m}" for m in _longer_than(63, name)]
    if not _matches(_QUALIFIED, name):
        words = f"name part {_QUALIFIED_WORDS}"
        faults.append(_no_match(words, _QUALIFIED, "MyName", "my.name", "123-abc"))
    return faults


def are_fine_config_keys(keys: Iterable[str]) -> bool:
    """Whether `config_key` finds nothing wrong with any of `keys`; False when in doubt."""
    given = [*keys, ""]
    joined = "/".join(given)
    # a key with a slash of its own would look like two
    return joined.count("/") < len(given) and _FINE_CONFIG_KEYS.fullmatch(joined) is not None


@_remembered
def label_value(value: str) -> list[str]:
    """The value of a label: empty, or at most 63 of letters, digits, `-`, `_`, `.`."""
    faults = _longer_than(63, value)
    pattern = f"({_QUALIFIED})?"
    if not _matches(pattern, value):
        words = (
            "a valid label must be an empty string or consist of alphanumeric characters, '-', "
            "'_' or '.', and must start and end with an alphanumeric character"
        )
        faults.append(_no_match(words, pattern, "MyValue", "my_value", "12345"))
    return faults


def config_key(value: str) -> list[str]:
    """A key of a ConfigMap or Secret, which can become a file name."""
    if _FINE_CONFIG_KEY.fullmatch(value):
        return []
    faults = _longer_than(253, value)
    if not _matches(_CONFIG_KEY, value):
        words = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
        faults.append(_no_match(words, _CONFIG_KEY, "key.name", "KEY_NAME", "key-name"))
    return faults + _dots(value)


def _dots(value: str) -> list[str]:
    if value in (".", ".."):
        return [f"must not be '{value}'"]
    return ["must not start with '..'"] if value.startswith("..") else []


def env_name(value: str) -> list[str]:
    """The name of an environment variable: printable ASCII without `=`."""
    if _matches("[ -<>-~]+", value):
        return []
    return [
        "a valid environment variable name must consist only of printable ASCII characters "
        "other than '='"
    ]


def port_name(value: str) -> list[str]:
    """The name of a port (IANA service name): at most 15, with at least one letter."""
    faults = _longer_than(15, value)
    if not _matches("[-a-z0-9]+", value):
        faults.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", value):
        faults.append("must contain at least one letter (a-z)")
    if "--" in value:
        faults.append("must not contain consecutive hyphens")
    if value.startswith("-") or value.endswith("-"):
        faults.append("must not begin or end with a hyphen")
    return faults


def header_name(value: str) -> list[str]:
    """The name of an HTTP header."""
    if _matches("[-A-Za-z0-9]+", value):
        return []
    words = "a valid HTTP header must consist of alphanumeric characters or '-'"
    return [_no_match(words, "[-A-Za-z0-9]+", "X-Header-Name")]


def ip_address(value: str) -> list[str]:
    """An IP address in its canonical form."""
    address = check.parse_ip(value)
    if address is None:
        return ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]
    return [] if str(address) == value else [f'must be in canonical form ("{address}")']


RULES: Mapping[str, Callable[[str], list[str]]] = {
    "subdomain": dns_subdomain,
    "label": dns_label,
    "label1035": dns_label_1035,
    "path": path_segment,
    "ip": ip_address,
}


def name_faults(rule: str, name: str, *, prefix: bool = False) -> list[str]:
    """Faults of an object's name under `rule`; a `prefix` (generateName) may end with `-`."""
    if prefix and len(name) > 1 and name.endswith("-") and rule != "path":
        name = f"{name[:-2]}a"
    return RULES[rule](name)


def labels(path: str, value: Mapping[str, Any]) -> Faults:
    """Keys and values of labels."""
    for key, text in value.items():
        yield from check.worded(path, key, qualified_name(key))
        yield from check.worded(path, text, label_value(str(text)))


def _are_fine_labels(value: Mapping[str, Any]) -> bool:
    """Whether `labels` surely finds nothing."""
    for key, text in value.items():
        if type(text) is not str or len(key) + len(text) > REMEMBERED_LENGTH_MAX:
            return False
        if not _is_fine_label(key, text):
            return False
    return True


@functools.lru_cache(maxsize=REMEMBERED_MAX)
def _is_fine_label(key: str, text: str) -> bool:
    return not qualified_name(key) and not label_value(text)


def annotations(path: str, value: Mapping[str, Any]) -> Faults:
    """Keys of annotations, and their size together."""
    size = 0
    for key, text in value.items():
        yield from check.worded(path, key, qualified_name(key.lower()))
        size += len(key.encode()) + len(str(text).encode())
    if size > ANNOTATIONS_MAX_BYTES:
        yield too_long(path, ANNOTATIONS_MAX_BYTES)


def finalizers(path: str, value: Iterable[str]) -> Faults:
    """Finalizers are qualified names; without a prefix only the standard ones."""
    given = list(value)
    for name in given:
        yield from check.worded(path, name, qualified_name(name))
    if "orphan" in given and "foregroundDeletion" in given:
        yield invalid(path, given, "finalizer orphan and foregroundDeletion cannot be both set")
    for i, name in enumerate(given):
        yield from standard_finalizer(f"{path}[{i}]", name)


def standard_finalizer(path: str, name: str) -> Faults:
    """A finalizer without a prefix is one of the standard ones."""
    if "/" not in name and name not in _STANDARD_FINALIZERS:
        words = "name is neither a standard finalizer name nor is it fully qualified"
        yield invalid(path, name, words)


def owner_references(path: str, value: Iterable[Obj]) -> Faults:
    """Owners are named whole, are no Events, and at most one of them is the controller."""
    controller, given = "", list(value)
    for owner in given:
        if not (owner.get("apiVersion") or "").rpartition("/")[2]:
            words = "version must not be empty"
            yield invalid(f"{path}.apiVersion", owner.get("apiVersion") or "", words)
        for key in ("kind", "name", "uid"):
            if not owner.get(key):
                yield invalid(f"{path}.{key}", "", "must not be empty")
        if owner.get("kind") == "Event" and owner.get("apiVersion") == "v1":
            yield invalid(path, owner, "/v1, Kind=Event is disallowed from being an owner")
        if owner.get("controller"):
            me = f"{owner.get('kind')}/{owner.get('name')}"
            if controller:
                yield invalid(
                    path,
                    given,
                    'Only one reference can have Controller set to true. Found "true" in '
                    f"references for {controller} and {me}",
                )
            else:
                controller = me


def _name(meta: Obj, rule: str) -> Faults:
    base = meta.get("generateName")
    if base:
        faults = name_faults(rule, base, prefix=True)
        yield from check.worded("metadata.generateName", base, faults)
    name = meta.get("name")
    if not name:
        yield required("metadata.name", "name or generateName is required")
    else:
        yield from check.worded("metadata.name", name, name_faults(rule, name))


def validate_metadata(obj: Obj, namespaced: bool, rule: str) -> list[FieldError]:
    """Every fault of an object's metadata (its name already made from generateName)."""
    meta = check.child(obj, "metadata")
    faults = [] if _is_well_named(meta, namespaced, rule) else list(_naming(meta, namespaced, rule))
    if not _SHARED.isdisjoint(meta):
        faults.extend(_shared(meta))
    return faults


def _is_well_named(meta: Obj, namespaced: bool, rule: str) -> bool:
    """Whether `_naming` surely finds nothing: what holds for most objects."""
    name, generation = meta.get("name"), meta.get("generation")
    if type(name) is not str or rule == "ip" or _FINE_NAME.fullmatch(name) is None:
        return False
    if meta.get("generateName") or (generation is not None and generation != 1):
        return False
    namespace = meta.get("namespace")
    if not namespaced:
        return not namespace
    return type(namespace) is str and _FINE_NAME.fullmatch(namespace) is not None


def _naming(meta: Obj, namespaced: bool, rule: str) -> Faults:
    yield from _name(meta, rule)
    namespace = meta.get("namespace")
    if namespaced:
        yield from check.needed("metadata.namespace", namespace, _namespace)
    elif namespace:
        yield forbidden_field("metadata.namespace", "not allowed on this type")
    yield from check.non_negative("metadata.generation", meta.get("generation"))


def _shared(meta: Obj) -> Faults:
    given = meta.get("labels")
    if given and not (type(given) is dict and _are_fine_labels(given)):
        yield from labels("metadata.labels", check.child(meta, "labels"))
    if meta.get("annotations"):
        yield from annotations("metadata.annotations", check.child(meta, "annotations"))
    if owners := check.items(meta, "ownerReferences"):
        yield from owner_references("metadata.ownerReferences", owners)
    if given := check.items(meta, "finalizers"):
        yield from finalizers("metadata.finalizers", given)


def validate_metadata_update(new: Obj, old: Obj) -> list[FieldError]:
    """Every fault of new metadata against the stored one, except for the format of the name."""
    return list(_metadata_update(check.child(new, "metadata"), check.child(old, "metadata")))


def _metadata_update(new: Obj, old: Obj) -> Faults:
    added = sorted({*check.items(new, "finalizers")} - {*check.items(old, "finalizers")})
    if old.get("deletionTimestamp") and added:
        quoted = ", ".join(f'"{name}"' for name in added)
        yield forbidden_field(
            "metadata.finalizers",
            "no new finalizers can be added if the object is being deleted, "
            f"found new finalizers []string{{{quoted}}}",
        )
    for key in ("name", "namespace", "uid", "creationTimestamp"):
        yield from check.unchanged(f"metadata.{key}", new.get(key), old.get(key))
    for key in ("deletionTimestamp", "deletionGracePeriodSeconds"):
        if new.get(key) is not None or old.get("deletionTimestamp"):
            yield from check.unchanged(f"metadata.{key}", new.get(key), old.get(key))
    if check.number(new.get("generation")) < check.number(old.get("generation")):
        yield invalid("metadata.generation", new.get("generation"), "must not be decremented")
    yield from _shared(new)
