"""Admission plugins are asked about the resources that they look at, and would pass the others."""

from petset.api import registry
from petset.apiserver.admission import chain
from petset.apiserver.admission.attributes import Attributes
from petset.apiserver.config import Config
from petset.apiserver.view import View
from petset.base.clock import SystemClock
from petset.store.drivers.memory import MemoryStore
from tests.unit.apiserver.harness import ADMIN


async def test_a_plugin_leaves_the_resources_alone_that_it_is_not_asked_about() -> None:
    view = View(MemoryStore(SystemClock()))
    for resource in registry.RESOURCES:
        for operation in (chain.CREATE, chain.UPDATE):
            attrs = Attributes(operation, resource, "", "ns", "n", ADMIN, view, Config(), 0.0)
            for plugin, resources in (*chain.MUTATING, *chain.VALIDATING):
                if resources is None or resource.id in resources:
                    continue
                old = {"metadata": {"name": "n"}, "spec": {}} if operation == chain.UPDATE else None
                obj = {"metadata": {"name": "n"}, "spec": {}}
                plugin(attrs, obj, old)
                assert obj == {"metadata": {"name": "n"}, "spec": {}}
