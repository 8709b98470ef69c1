"""Which objects of a collection are meant: label and field selectors together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from petset.api import fieldselectors, selectors
from petset.api.errors import bad_request
from petset.api.fieldselectors import FieldTerm
from petset.api.kind import Behaviour
from petset.api.meta import Obj, name_of, namespace_of
from petset.api.resource import Resource
from petset.api.selectors import EVERYTHING, LabelSelector
from petset.apiserver import peek
from petset.base.http import Request

VERDICTS_MAX = 1024
"""Sets of labels about which a selection remembers what it found."""

_NAMESPACE = "metadata.namespace"
_FROM_KEYS: Mapping[str, Callable[[str], str]] = {
    "metadata.name": lambda key: key.rpartition("/")[2],
    _NAMESPACE: lambda key: key.split("/", 2)[1],
}

Reader = Callable[[Obj], str]
"""The value of one selectable field, as text."""

Peek = Callable[[bytes], str | None]
"""The same of a stored object; None if that takes decoding."""

_PEEKS: Mapping[tuple[str, str], Peek] = {("pods", "spec.nodeName"): peek.node_name}


@dataclass(frozen=True, slots=True)
class Slot:
    """A value that one field has to have.

    Attributes:
        read: the field of an object.
        read_key: the same, from the object's key, where that tells it.
        look: the same, from the object's bytes, if there is a way.
    """

    path: str
    value: str
    read: Reader
    read_key: Callable[[str], str] | None = None
    look: Peek | None = None

    def read_value(self, value: bytes) -> str:
        """The field of a stored object."""
        found = self.look(value) if self.look else None
        return self.read(peek.decoded(value)) if found is None else found


@dataclass(frozen=True, slots=True)
class Selection:
    """Selectors of one request.

    Attributes:
        text: both selectors as given: equal texts select the same.
        peeks: by the path of a field, how to read it off stored bytes.
        verdicts: what was found out about labels: replicas often have the same ones.
    """

    labels: LabelSelector
    terms: Sequence[FieldTerm]
    readers: Sequence[Reader]
    text: tuple[str, str] = ("", "")
    peeks: Mapping[str, Peek] = field(default_factory=dict, compare=False)
    verdicts: dict[bytes, bool] = field(default_factory=dict, compare=False)

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out."""
        return self.labels.is_everything and not self.terms

    @property
    def name(self) -> str:
        """The one name that can match, "" if any can."""
        for term in self.terms:
            if term.path == "metadata.name" and term.equal:
                return term.value
        return ""

    @property
    def slot(self) -> Slot | None:
        """A field that has one value in everything that is meant, the narrowest of them."""
        fixed = {t.path: (t, r) for t, r in zip(self.terms, self.readers, strict=True) if t.equal}
        for path in ("metadata.name", *(p for p in fixed if p != _NAMESPACE), _NAMESPACE):
            if path in fixed:
                term, read = fixed[path]
                return Slot(path, term.value, read, _FROM_KEYS.get(path), self.peeks.get(path))
        return None

    def matches(self, obj: Obj) -> bool:
        """Whether `obj` is meant."""
        for term, read in zip(self.terms, self.readers, strict=True):
            if not term.matches(read(obj)):
                return False
        if self.labels.is_everything:
            return True
        return self.labels.matches((obj.get("metadata") or {}).get("labels") or {})

    def accepts(self, value: bytes, decode: Callable[[bytes], Obj] = orjson.loads) -> bool:
        """Whether the object that is stored as `value` is meant, mostly without decoding it."""
        if self.terms:
            known = self._peek(value)
            return self.matches(decode(value)) if known is None else known
        text = peek.labels_text(value)
        if text is None:
            return self.matches(decode(value))
        known = self.verdicts.get(text)
        return self._judge(text, value) if known is None else known

    def _peek(self, value: bytes) -> bool | None:
        """Whether an object is meant by its fields alone; None if that takes decoding."""
        if not self.labels.is_everything:
            return None
        for term in self.terms:
            look = self.peeks.get(term.path)
            found = look(value) if look else None
            if found is None:
                return None
            if not term.matches(found):
                return False
        return True

    def _judge(self, text: bytes, value: bytes) -> bool:
        try:
            verdict = self.labels.matches(orjson.loads(text))
        except orjson.JSONDecodeError:  # a brace within a text: the labels went on
            return self.matches(orjson.loads(value))
        if len(self.verdicts) >= VERDICTS_MAX:
            self.verdicts.clear()
        self.verdicts[text] = verdict
        return verdict


ALL = Selection(EVERYTHING, (), ())


def of_request(request: Request, resource: Resource, behaviour: Behaviour, name: str) -> Selection:
    """The selectors of `request`; `name`, if given, is one more field term.

    Raises StatusError 400 for what cannot be parsed and for unknown fields.
    """
    label_text = request.param("labelSelector")
    field_text = request.param("fieldSelector")
    if not label_text and not field_text and not name:
        return ALL
    terms = fieldselectors.parse(field_text) if field_text else []
    if name:
        terms.append(FieldTerm("metadata.name", True, name))
    readers = [_reader(term.path, resource, behaviour) for term in terms]
    labels = selectors.parse(label_text)
    text = (label_text, ",".join(str(t) for t in terms))
    peeks = {t.path: p for t in terms if (p := _PEEKS.get((resource.id, t.path)))}
    return Selection(labels, terms, readers, text, peeks)


def _reader(path: str, resource: Resource, behaviour: Behaviour) -> Reader:
    if path == "metadata.name":
        return name_of
    if path == "metadata.namespace" and (resource.namespaced or not behaviour.fields):
        return namespace_of
    reader = behaviour.fields.get(path)
    if reader is not None:
        return reader
    if resource.id == "jobs.batch":
        raise bad_request(f'field label "{path}" not supported for Job')
    if behaviour.fields:
        raise bad_request(f"field label not supported: {path}")
    known = '"metadata.name", "metadata.namespace"'
    raise bad_request(f'"{path}" is not a known field selector: only {known}')
