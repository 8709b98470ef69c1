"""endpointslicemirroring: Endpoints that users write for Services without selector, as
EndpointSlices.

Key: namespace/name of an Endpoints object, which is its Service's as well. Watches: endpoints,
services, endpointslices (its own).
Invariant: only slices that carry this controller's managed-by label are touched; Endpoints that
ask to be left alone are; unchanged Endpoints write nothing.
"""
