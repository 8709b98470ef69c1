"""How a pod resolves names (dnsPolicy, dnsConfig): validation."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from petset.api.check import Faults, child, ip, items, worded
from petset.api.errors import invalid, required
from petset.api.meta import Obj

POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
SERVERS_MAX = 3
SEARCHES_MAX = 32
SEARCH_LENGTH_MAX = 2048
DOMAIN_LENGTH_MAX = 253

_LABEL = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*", re.ASCII)


def faults(path: str, spec: Obj) -> Faults:
    """Every fault of a pod's dnsConfig."""
    config = child(spec, "dnsConfig")
    servers = list(items(config, "nameservers"))
    if spec.get("dnsPolicy") == "None":
        if not isinstance(spec.get("dnsConfig"), Mapping):
            yield required(path, "must provide `dnsConfig` when `dnsPolicy` is None")
            return
        if not servers:
            words = "must provide at least one DNS nameserver when `dnsPolicy` is None"
            yield required(f"{path}.nameservers", words)
            return
    if len(servers) > SERVERS_MAX:
        words = f"must not have more than {SERVERS_MAX} nameservers"
        yield invalid(f"{path}.nameservers", servers, words)
    for i, server in enumerate(servers):
        yield from ip(f"{path}.nameservers[{i}]", server)
    yield from _searches_faults(f"{path}.searches", list(items(config, "searches")))
    for i, option in enumerate(items(config, "options")):
        if not option.get("name"):
            yield required(f"{path}.options[{i}]", "must not be empty")


def _searches_faults(path: str, searches: Sequence[Any]) -> Faults:
    if len(searches) > SEARCHES_MAX:
        words = f"must not have more than {SEARCHES_MAX} search paths"
        yield invalid(path, searches, words)
    if len(" ".join(searches)) > SEARCH_LENGTH_MAX:
        words = (
            f"must not have more than {SEARCH_LENGTH_MAX} characters (including spaces) in the "
            "search list"
        )
        yield invalid(path, searches, words)
    for i, search in enumerate(searches):
        if search != ".":
            name = str(search).removesuffix(".")
            yield from worded(f"{path}[{i}]", name, _domain(name))


def _domain(name: str) -> list[str]:
    """A domain to search in: a DNS subdomain that may hold underscores."""
    found = []
    if len(name) > DOMAIN_LENGTH_MAX:
        found.append(f"must be no more than {DOMAIN_LENGTH_MAX} bytes")
    if not _DOMAIN.fullmatch(name):
        found.append(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, "
            "'_', '-' or '.', and must start and end with an alphanumeric character (e.g. "
            f"'example.com', regex used for validation is '{_DOMAIN.pattern}')"
        )
    return found
