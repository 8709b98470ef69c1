"""endpointslice: which pods stand behind a Service, as EndpointSlices and as legacy Endpoints.

Key: namespace/name of a Service. Watches: services, pods (by selector), endpointslices and
endpoints (by the service that they belong to), nodes (their zone).
Parts: plan.py, endpoint.py (a pod as an endpoint), slices.py, legacy.py; all pure.
Invariant: only objects that carry this controller's managed-by label are touched; services without
selector are left alone; an unchanged set of endpoints writes nothing.
"""
