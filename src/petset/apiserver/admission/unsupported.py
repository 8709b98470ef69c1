"""Kinds whose objects would be kept but never acted on, in ways that mislead: refused by name."""

from petset.api.errors import not_implemented
from petset.api.meta import Obj
from petset.apiserver.admission.attributes import Attributes

REFUSED = {
    "customresourcedefinitions.apiextensions.k8s.io": "custom resources",
    "apiservices.apiregistration.k8s.io": "aggregated API servers",
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": "admission webhooks",
    "validatingwebhookconfigurations.admissionregistration.k8s.io": "admission webhooks",
    "mutatingadmissionpolicies.admissionregistration.k8s.io": "admission policies",
    "mutatingadmissionpolicybindings.admissionregistration.k8s.io": "admission policies",
    "validatingadmissionpolicies.admissionregistration.k8s.io": "admission policies",
    "validatingadmissionpolicybindings.admissionregistration.k8s.io": "admission policies",
}


def refuse(attrs: Attributes, obj: Obj, old: Obj | None) -> None:
    """Refuse to create such an object. Raises StatusError 501."""
    del obj, old
    what = REFUSED.get(attrs.id)
    if attrs.creates and what is not None:
        raise not_implemented(f"{what} ({attrs.id})")
