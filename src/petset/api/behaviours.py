"""The behaviour of every kind that has one of its own, by resource id."""

from collections.abc import Mapping

from petset.api.apps.v1 import daemonset, deployment, replicaset, revision, statefulset
from petset.api.autoscaling.v2 import hpa
from petset.api.batch.v1 import cronjob, job
from petset.api.certificates.v1 import csr
from petset.api.coordination.v1 import lease
from petset.api.core.v1 import (
    configmap,
    endpoints,
    event,
    namespace,
    node,
    pod,
    podtemplate,
    pv,
    pvc,
    quota,
    service,
)
from petset.api.discovery_k8s.v1 import endpointslice
from petset.api.kind import Behaviour
from petset.api.networking.v1 import ingress
from petset.api.policy.v1 import pdb
from petset.api.rbac.v1 import role
from petset.api.scheduling.v1 import priorityclass
from petset.api.storage.v1 import storageclass
from petset.api.table import CREATED, PLAIN

BEHAVIOURS: Mapping[str, Behaviour] = {
    "configmaps": configmap.CONFIG_MAP,
    "endpoints": endpoints.BEHAVIOUR,
    "events": event.BEHAVIOUR,
    "limitranges": quota.LIMIT_RANGE,
    "namespaces": namespace.BEHAVIOUR,
    "nodes": node.BEHAVIOUR,
    "persistentvolumeclaims": pvc.BEHAVIOUR,
    "persistentvolumes": pv.BEHAVIOUR,
    "pods": pod.BEHAVIOUR,
    "podtemplates": podtemplate.POD_TEMPLATE,
    "replicationcontrollers": podtemplate.REPLICATION_CONTROLLER,
    "resourcequotas": quota.QUOTA,
    "secrets": configmap.SECRET,
    "serviceaccounts": configmap.SERVICE_ACCOUNT,
    "services": service.BEHAVIOUR,
    "controllerrevisions.apps": revision.BEHAVIOUR,
    "daemonsets.apps": daemonset.BEHAVIOUR,
    "deployments.apps": deployment.BEHAVIOUR,
    "replicasets.apps": replicaset.BEHAVIOUR,
    "statefulsets.apps": statefulset.BEHAVIOUR,
    "customresourcedefinitions.apiextensions.k8s.io": Behaviour(table=CREATED, generation=True),
    "horizontalpodautoscalers.autoscaling": hpa.BEHAVIOUR,
    "cronjobs.batch": cronjob.BEHAVIOUR,
    "jobs.batch": job.BEHAVIOUR,
    "certificatesigningrequests.certificates.k8s.io": csr.BEHAVIOUR,
    "leases.coordination.k8s.io": lease.BEHAVIOUR,
    "endpointslices.discovery.k8s.io": endpointslice.BEHAVIOUR,
    "events.events.k8s.io": event.EVENTS_V1,
    "ingressclasses.networking.k8s.io": ingress.INGRESS_CLASS,
    "ingresses.networking.k8s.io": ingress.INGRESS,
    "networkpolicies.networking.k8s.io": ingress.NETWORK_POLICY,
    "poddisruptionbudgets.policy": pdb.BEHAVIOUR,
    "clusterrolebindings.rbac.authorization.k8s.io": role.BINDING,
    "clusterroles.rbac.authorization.k8s.io": role.ROLE,
    "rolebindings.rbac.authorization.k8s.io": role.BINDING,
    "roles.rbac.authorization.k8s.io": role.ROLE,
    "priorityclasses.scheduling.k8s.io": priorityclass.BEHAVIOUR,
    "storageclasses.storage.k8s.io": storageclass.BEHAVIOUR,
}

_DEFAULT = Behaviour(table=PLAIN)


def behaviour(resource_id: str) -> Behaviour:
    """The behaviour of a resource (`pods`, `statefulsets.apps`); a plain one where it has none."""
    return BEHAVIOURS.get(resource_id, _DEFAULT)
