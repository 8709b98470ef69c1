"""Deprecated resources and fields, in the words of the Warning header."""

from collections.abc import Iterator, Mapping

from petset.api.check import child
from petset.api.core.v1.podwarnings import OLD_LABELS, of_expressions
from petset.api.meta import Obj

RESOURCES: Mapping[str, str] = {
    "endpoints": "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
    "componentstatuses": "v1 ComponentStatus is deprecated in v1.19+",
}
"""Resources that every request is warned about."""

CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"


def storage_class(obj: Obj) -> Iterator[str]:
    """A claim or volume that names its class by annotation."""
    if CLASS_ANNOTATION in child(obj, "metadata", "annotations"):
        yield (
            f"metadata.annotations[{CLASS_ANNOTATION}]: deprecated since v1.8; "
            'use "storageClassName" attribute instead'
        )


def label_selector(path: str, selector: Obj) -> Iterator[str]:
    """Labels of nodes that have new names, in a selector."""
    yield from expressions(path, selector)
    for key in child(selector, "matchLabels"):
        if key in OLD_LABELS:
            yield f"{path}.matchLabels.{key}: {OLD_LABELS[key]}"


def expressions(path: str, term: Obj) -> Iterator[str]:
    """The same in expressions alone."""
    yield from of_expressions(path, term)
