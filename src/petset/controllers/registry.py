"""The ordered list of controllers that the server runs."""

from petset.controllers.deployment import controller as deployment
from petset.controllers.disruption import controller as disruption
from petset.controllers.endpointslice import controller as endpointslice
from petset.controllers.endpointslicemirroring import controller as endpointslicemirroring
from petset.controllers.garbage import controller as garbage
from petset.controllers.namespace import controller as namespace
from petset.controllers.nodelife import controller as nodelife
from petset.controllers.replicaset import controller as replicaset
from petset.controllers.statefulset import controller as statefulset
from petset.controllers.volumebinder import controller as volumebinder
from petset.reconcile.manager import Factory

CONTROLLERS: tuple[tuple[str, Factory], ...] = (
    ("statefulset", statefulset.make),
    ("deployment", deployment.make),
    ("replicaset", replicaset.make),
    ("endpointslice", endpointslice.make),
    ("endpointslicemirroring", endpointslicemirroring.make),
    ("volumebinder", volumebinder.make),
    ("nodelife", nodelife.make),
    ("namespace", namespace.make),
    ("disruption", disruption.make),
    ("garbage", garbage.make),
)
"""(name, factory) in the order in which they are started."""
