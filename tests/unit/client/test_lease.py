import asyncio
from typing import Any

import orjson
import pytest

from petset.api import errors
from petset.base.http import Reply, Request, Response
from petset.base.loopclock import LoopClock
from petset.client.lease import Lease
from petset.testing.clock import run_virtual
from tests.unit.client import api as fake


class Leases:
    """One lease slot with compare-and-swap."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.version = 0
        self.methods: list[str] = []
        self.missing: errors.StatusError | None = None
        self.refuse: errors.StatusError | None = None

    async def __call__(self, request: Request) -> Reply:
        self.methods.append(request.method)
        if self.refuse:
            return fake.status(self.refuse)
        if request.method == "POST":
            self.store(orjson.loads(request.body))
        elif self.lease is None and request.method == "PUT" and self.missing:
            return fake.status(self.missing)
        elif self.lease is None:
            return fake.status(errors.not_found("leases", "n1"))
        elif request.method == "PUT":
            body = orjson.loads(request.body)
            if body["metadata"]["resourceVersion"] != str(self.version):
                return fake.status(errors.conflict("leases", "n1"))
            self.store(body)
        return Response(200, (), orjson.dumps(self.lease))

    def store(self, body: dict[str, Any]) -> None:
        self.version += 1
        self.lease = body
        body["metadata"]["resourceVersion"] = str(self.version)

    def holder(self) -> Lease:
        return Lease(fake.client(self), LoopClock(), "n1", "kube-node-lease", "n1")


def test_a_lease_is_made_then_renewed_without_reading_it_again() -> None:
    async def main() -> None:
        api = Leases()
        lease = api.holder()
        await lease.renew()
        await asyncio.sleep(10)
        await lease.renew()
        assert api.methods == ["GET", "POST", "PUT"]
        assert api.lease is not None
        assert api.lease["spec"] == {
            "holderIdentity": "n1",
            "leaseDurationSeconds": 40,
            "renewTime": "2023-11-14T22:13:30.000000Z",
        }

    run_virtual(main())


def test_a_lease_changed_by_another_is_read_again() -> None:
    async def main() -> None:
        api = Leases()
        lease = api.holder()
        await lease.renew()
        assert api.lease is not None
        api.store({**api.lease, "spec": {**api.lease["spec"], "extra": 1}})
        await lease.renew()
        assert api.methods == ["GET", "POST", "PUT", "GET", "PUT"]
        assert api.lease["spec"]["extra"] == 1

    run_virtual(main())


def test_a_lease_that_vanished_is_made_again() -> None:
    async def main() -> None:
        api = Leases()
        lease = api.holder()
        await lease.renew()
        api.lease = None
        await lease.renew()
        assert api.methods == ["GET", "POST", "PUT", "GET", "POST"]

    run_virtual(main())


def test_a_lease_that_vanished_is_made_again_where_a_put_could_make_it() -> None:
    """A server that lets PUT create refuses the version that a lease once had."""

    async def main() -> None:
        api = Leases()
        api.missing = errors.StatusError(
            500, "InternalError", "resourceVersion should not be set on objects to be created"
        )
        lease = api.holder()
        await lease.renew()
        api.lease = None
        await lease.renew()
        assert api.methods == ["GET", "POST", "PUT", "GET", "POST"]

    run_virtual(main())


def test_a_refusal_reaches_the_caller() -> None:
    async def main() -> None:
        api = Leases()
        api.refuse = errors.forbidden("leases", "n1", "no")
        with pytest.raises(errors.StatusError, match="forbidden"):
            await api.holder().renew()

    run_virtual(main())
