"""The behaviour of every kind that has one of its own, by resource id."""

from collections.abc import Mapping

from petset.api.apps.v1 import daemonset, deployment, replicaset, revision, statefulset
from petset.api.autoscaling.v2 import hpa
from petset.api.batch.v1 import cronjob, job
from petset.api.certificates.v1 import csr, trustbundle
from petset.api.coordination.v1 import lease
from petset.api.core.v1 import (
    configmap,
    endpoints,
    event,
    limitrange,
    namespace,
    node,
    pod,
    podtemplate,
    pv,
    pvc,
    quota,
    secret,
    service,
)
from petset.api.discovery_k8s.v1 import endpointslice
from petset.api.flowcontrol.v1 import flow
from petset.api.kind import Behaviour
from petset.api.networking.v1 import address, ingress, ingressclass, networkpolicy
from petset.api.node.v1 import runtimeclass
from petset.api.policy.v1 import pdb
from petset.api.rbac.v1 import role
from petset.api.resource_k8s.v1 import devices
from petset.api.scheduling.v1 import priorityclass
from petset.api.storage.v1 import attachment, attributesclass, csi, storageclass
from petset.api.table import CREATED, PLAIN

BEHAVIOURS: Mapping[str, Behaviour] = {
    "configmaps": configmap.CONFIG_MAP,
    "endpoints": endpoints.BEHAVIOUR,
    "events": event.BEHAVIOUR,
    "limitranges": limitrange.BEHAVIOUR,
    "namespaces": namespace.BEHAVIOUR,
    "nodes": node.BEHAVIOUR,
    "persistentvolumeclaims": pvc.BEHAVIOUR,
    "persistentvolumes": pv.BEHAVIOUR,
    "pods": pod.BEHAVIOUR,
    "podtemplates": podtemplate.POD_TEMPLATE,
    "replicationcontrollers": podtemplate.REPLICATION_CONTROLLER,
    "resourcequotas": quota.BEHAVIOUR,
    "secrets": secret.BEHAVIOUR,
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
    "clustertrustbundles.certificates.k8s.io": trustbundle.BEHAVIOUR,
    "leases.coordination.k8s.io": lease.BEHAVIOUR,
    "endpointslices.discovery.k8s.io": endpointslice.BEHAVIOUR,
    "events.events.k8s.io": event.EVENTS_V1,
    "flowschemas.flowcontrol.apiserver.k8s.io": flow.SCHEMA,
    "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io": flow.LEVEL,
    "ingressclasses.networking.k8s.io": ingressclass.BEHAVIOUR,
    "ingresses.networking.k8s.io": ingress.BEHAVIOUR,
    "ipaddresses.networking.k8s.io": address.ADDRESS,
    "networkpolicies.networking.k8s.io": networkpolicy.BEHAVIOUR,
    "servicecidrs.networking.k8s.io": address.RANGE,
    "runtimeclasses.node.k8s.io": runtimeclass.BEHAVIOUR,
    "poddisruptionbudgets.policy": pdb.BEHAVIOUR,
    "clusterrolebindings.rbac.authorization.k8s.io": role.BINDING,
    "clusterroles.rbac.authorization.k8s.io": role.ROLE,
    "rolebindings.rbac.authorization.k8s.io": role.BINDING,
    "roles.rbac.authorization.k8s.io": role.ROLE,
    "deviceclasses.resource.k8s.io": devices.CLASS,
    "resourceclaims.resource.k8s.io": devices.CLAIM,
    "resourceslices.resource.k8s.io": devices.SLICE,
    "priorityclasses.scheduling.k8s.io": priorityclass.BEHAVIOUR,
    "csidrivers.storage.k8s.io": csi.DRIVER,
    "csinodes.storage.k8s.io": csi.NODE,
    "csistoragecapacities.storage.k8s.io": csi.CAPACITY,
    "storageclasses.storage.k8s.io": storageclass.BEHAVIOUR,
    "volumeattachments.storage.k8s.io": attachment.BEHAVIOUR,
    "volumeattributesclasses.storage.k8s.io": attributesclass.BEHAVIOUR,
}

_DEFAULT = Behaviour(table=PLAIN)


def behaviour(resource_id: str) -> Behaviour:
    """The behaviour of a resource (`pods`, `statefulsets.apps`); a plain one where it has none."""
    return BEHAVIOURS.get(resource_id, _DEFAULT)
