"""Kinds that petset does not act on: refused by name where keeping them would mislead, or kept
with a warning that nothing will come of them, so that charts which hold some can be installed.
"""

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


UNUSED = {
    "certificatesigningrequests.certificates.k8s.io": "sign certificates",
    "cronjobs.batch": "run CronJobs",
    "daemonsets.apps": "run DaemonSets",
    "horizontalpodautoscalers.autoscaling": "scale by HorizontalPodAutoscalers",
    "ingresses.networking.k8s.io": "route by Ingresses",
    "jobs.batch": "run Jobs",
    "limitranges": "apply LimitRanges",
    "networkpolicies.networking.k8s.io": "enforce NetworkPolicies",
    "replicationcontrollers": "run ReplicationControllers",
    "resourcequotas": "enforce ResourceQuotas",
    "roles.rbac.authorization.k8s.io": "enforce Roles",
    "clusterroles.rbac.authorization.k8s.io": "enforce ClusterRoles",
    "rolebindings.rbac.authorization.k8s.io": "enforce RoleBindings",
    "clusterrolebindings.rbac.authorization.k8s.io": "enforce ClusterRoleBindings",
}
"""What is kept only: resource id -> what petset does not do with it."""


def warnings(resource_id: str) -> list[str]:
    """What to tell who creates an object that is kept only."""
    what = UNUSED.get(resource_id)
    return [f"petset does not {what} yet: the object is stored, nothing acts on it"] if what else []


def refuse(attrs: Attributes, obj: Obj, old: Obj | None) -> None:
    """Refuse to create such an object. Raises StatusError 501."""
    del obj, old
    what = REFUSED.get(attrs.id)
    if attrs.creates and what is not None:
        raise not_implemented(f"{what} ({attrs.id})")
