"""VolumeAttachment: an object that petset keeps and does not act on."""

from typing import Any

from petset.api import names
from petset.api.check import INT32_MAX, Faults, child, semantically, worded
from petset.api.core.v1.remotevolume import driver_name_faults
from petset.api.errors import FieldError, forbidden_field, invalid, required, too_long
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, name_of
from petset.api.table import AGE, NAME, age_of

METADATA_MAX_BYTES = 256 * 1024
MESSAGE_MAX_BYTES = 1024
_ONE_OF = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"


def validate(attachment: Obj) -> list[FieldError]:
    """Every fault of an attachment."""
    return [*_spec_faults(child(attachment, "spec")), *_status_faults(child(attachment, "status"))]


def _spec_faults(spec: Obj) -> Faults:
    if not spec.get("attacher"):
        yield required("spec.attacher")
    source, path = child(spec, "source"), "spec.source"
    volume, inline = source.get("persistentVolumeName"), source.get("inlineVolumeSpec")
    if volume is None and inline is None:
        yield required(path, _ONE_OF)
    elif volume is not None and inline is not None:
        yield forbidden_field(path, _ONE_OF)
    elif volume == "":
        yield required(
            f"{path}.persistentVolumeName", "must specify non empty persistentVolumeName"
        )
    node = str(spec.get("nodeName") or "")
    yield from worded("spec.nodeName", node, names.dns_subdomain(node))
    yield from driver_name_faults("spec.attacher", spec.get("attacher"))
    if volume is not None:
        where = f"{path}.persistentVolumeName"
        yield from worded(where, volume, names.dns_subdomain(str(volume)))


def _status_faults(status: Obj) -> Faults:
    told = child(status, "attachmentMetadata")
    size = sum(len(k.encode()) + len(str(v).encode()) for k, v in told.items())
    if size > METADATA_MAX_BYTES:
        yield too_long("status.attachmentMetadata", METADATA_MAX_BYTES)
    for key in ("attachError", "detachError"):
        error = child(status, key)
        if len(str(error.get("message") or "").encode()) > MESSAGE_MAX_BYTES:
            yield too_long(f"status.{key}.message", METADATA_MAX_BYTES)
        code = error.get("errorCode")
        if code is not None and code < 0:
            words = f"must be between 0 and {INT32_MAX}, inclusive"
            yield invalid(f"status.{key}.errorCode", code, words)


def validate_update(new: Obj, old: Obj) -> list[FieldError]:
    """The spec stays."""
    if semantically(new.get("spec")) == semantically(old.get("spec")):
        return []
    return [invalid("spec", new.get("spec"), "field is immutable")]


def validate_status(new: Obj, old: Obj) -> list[FieldError]:
    """What is told of the attachment is not too long."""
    del old
    return list(_status_faults(child(new, "status")))


def _cells(attachment: Obj, now: float) -> list[Any]:
    spec = child(attachment, "spec")
    return [
        name_of(attachment),
        spec.get("attacher") or "",
        child(spec, "source").get("persistentVolumeName") or "",
        spec.get("nodeName") or "",
        bool(child(attachment, "status").get("attached")),
        age_of(attachment, now),
    ]


def prepare_create(attachment: MutableObj) -> None:
    """What is new is not attached."""
    attachment["status"] = {"attached": False}


BEHAVIOUR = Behaviour(
    prepare_create=prepare_create,
    validate=validate,
    validate_update=validate_update,
    validate_status=validate_status,
    table=Table(
        (
            NAME,
            Column("Attacher", format="name"),
            Column("PV"),
            Column("Node"),
            Column("Attached", type="boolean"),
            AGE,
        ),
        _cells,
    ),
    unconditional_update=False,
)
