"""Domain names beyond plain labels: wildcards, names of two and more labels, prefixed paths."""

import re

from petset.api import names
from petset.api.check import Faults, worded
from petset.api.errors import invalid, required

_SUBDOMAIN = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_WILDCARD = rf"\*\.{_SUBDOMAIN}"
_HTTP_PATH = "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+"
_SUBDOMAIN_MAX = 253


def wildcard(value: str) -> list[str]:
    """`*.` and a DNS subdomain."""
    faults = []
    if len(value.encode()) > _SUBDOMAIN_MAX:
        faults.append(f"must be no more than {_SUBDOMAIN_MAX} bytes")
    if not re.fullmatch(_WILDCARD, value, re.ASCII):
        faults.append(
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS "
            "subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and "
            "end with an alphanumeric character (e.g. '*.example.com', regex used for validation "
            f"is '{_WILDCARD}')"
        )
    return faults


def host(path: str, value: str) -> Faults:
    """The name of a host, with or without a wildcard in front."""
    rule = wildcard if "*" in value else names.dns_subdomain
    yield from worded(path, value, rule(value))


def fully_qualified(path: str, value: object) -> Faults:
    """A domain name of two labels at least; it may end with a dot."""
    text = str(value or "")
    if not text:
        yield required(path)
        return
    labels = text.removesuffix(".").split(".")
    if len(labels) < 2:
        words = "should be a domain with at least two segments separated by dots"
        yield invalid(path, text, words)
        return
    for label in labels:
        if faults := names.dns_label(label):
            yield invalid(path, label, ",".join(faults))
            return


def prefixed_path(path: str, value: object) -> Faults:
    """A domain and a path below it: `acme.io/foo`."""
    text = str(value or "")
    if not text:
        yield required(path)
        return
    domain, slash, rest = text.partition("/")
    if not slash or not domain or not rest:
        words = 'must be a domain-prefixed path (such as "acme.io/foo")'
        yield invalid(path, text, words)
        return
    yield from worded(path, domain, names.dns_subdomain(domain))
    if not re.fullmatch(_HTTP_PATH, rest, re.ASCII):
        words = f"Invalid path (regex used for validation is '{_HTTP_PATH}')"
        yield invalid(path, rest, words)
