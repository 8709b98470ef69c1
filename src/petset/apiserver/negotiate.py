"""Content negotiation: which form of answer a client gets, which bodies it may send."""

import re
from dataclasses import dataclass
from functools import lru_cache

from petset.api.errors import not_acceptable

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
MADE = (JSON, YAML, PROTOBUF)
META_GROUP = "meta.k8s.io"
PLAIN_ACCEPTS = frozenset({"", "*/*", JSON, "application/json, */*", "application/json,*/*"})
KEPT_MAX_CHARS = 512
"""Accept headers up to this length are remembered; no known client sends a longer one."""
INDENTING_AGENTS = ("curl", "Wget", "Mozilla/5.0")

_QUALITY = re.compile(r"0(\.[0-9]*)?|1(\.0*)?")

OBJECT, LIST, WATCH, OTHER = "object", "list", "watch", "other"
FORMS = {
    OBJECT: ("Table", "PartialObjectMetadata"),
    LIST: ("Table", "PartialObjectMetadataList"),
    WATCH: ("Table", "PartialObjectMetadata", "PartialObjectMetadataList"),
    OTHER: (),
}


@dataclass(frozen=True, slots=True)
class Format:
    """How to answer.

    Attributes:
        media: JSON, YAML or PROTOBUF.
        form: "", "Table", "PartialObjectMetadata" or "PartialObjectMetadataList".
        version: version of that form: v1 or v1beta1.
    """

    media: str = JSON
    form: str = ""
    version: str = "v1"


PLAIN = Format()


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause of an Accept header."""

    media: str
    params: tuple[tuple[str, str], ...]
    quality: float

    def param(self, name: str) -> str:
        """The value of parameter `name`, or ""."""
        return next((v for k, v in self.params if k == name), "")


def parse_accept(header: str) -> list[Clause]:
    """The clauses of an Accept header, the wanted ones first; equal ones keep their order."""
    clauses = [_clause(text) for text in header.split(",") if text.strip()]
    return sorted((c for c in clauses if c.quality > 0), key=lambda c: -c.quality)


def _clause(text: str) -> Clause:
    media, *rest = (part.strip() for part in text.split(";"))
    params, quality = [], 1.0
    for item in rest:
        key, _, value = item.partition("=")
        if key.strip() == "q":
            quality = float(value) if _QUALITY.fullmatch(value.strip()) else 0.0
        else:
            params.append((key.strip(), value.strip().strip('"')))
    return Clause(media.lower(), tuple(params), quality)


def choose(accept: str, shape: str) -> Format:
    """The form of answer for an endpoint of `shape` (OBJECT, LIST, WATCH, OTHER).

    Raises StatusError 406 when no clause can be met.
    """
    if accept in PLAIN_ACCEPTS:
        return PLAIN
    return _choose(accept, shape) if len(accept) > KEPT_MAX_CHARS else _kept(accept, shape)


def _choose(accept: str, shape: str) -> Format:
    for clause in parse_accept(accept):
        found = _meet(clause, shape)
        if found is not None:
            return found
    raise not_acceptable(MADE)


_kept = lru_cache(maxsize=512)(_choose)


def _meet(clause: Clause, shape: str) -> Format | None:
    media = _media(clause.media)
    if media is None or (shape == WATCH and media == YAML):
        return None
    form = clause.param("as")
    if not form:
        return Format(media)
    version = clause.param("v")
    if clause.param("g") != META_GROUP or version not in ("v1", "v1beta1"):
        return None
    if form not in FORMS[shape] or (media == PROTOBUF and form == "Table"):
        return None
    return Format(media, form, version)


def _media(media: str) -> str | None:
    if media in MADE:
        return media
    return JSON if media in ("*/*", "application/*") else None


def wants_indent(pretty: str, agent: str) -> bool:
    """Whether JSON is indented: ?pretty=1, or a tool that people read the output of."""
    if pretty:
        return pretty in ("1", "t", "T", "TRUE", "true", "True")
    return agent.startswith(INDENTING_AGENTS)


def accepts_gzip(header: str) -> bool:
    """Whether Accept-Encoding allows gzip, and does not want the answer as it is any more."""
    if not header:
        return False
    wanted = {c.media: c.quality for c in (_clause(t) for t in header.split(","))}
    quality = wanted.get("gzip", wanted.get("*", 0.0))
    return quality > 0 and quality >= wanted.get("identity", 0.0)


def content_type(header: str) -> str:
    """The media type of a request's body, without parameters; JSON where none is given."""
    media = header.partition(";")[0].strip().lower()
    return media or JSON
