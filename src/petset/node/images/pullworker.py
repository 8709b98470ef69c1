"""A process that pulls an image for the agent: `python -m petset.node.images.pullworker`.

Apart from `worker`, because aiohttp takes its time and memory to import.
"""

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from petset.base.clock import SystemClock
from petset.node.images import pull, reference, workerio
from petset.node.images.credentials import Credentials
from petset.node.images.local import Store, StoreError
from petset.node.images.manifest import ManifestError
from petset.node.images.registry import RegistryError, UnreachableError
from petset.node.images.unpack import UnpackError
from petset.node.images.workerio import Failure, Tell

_EXPECTED = (ManifestError, OSError, RegistryError, StoreError, UnpackError)


def work(request: Mapping[str, Any], tell: Tell) -> list[str]:
    """Pull `ref` into the store `root`; the image's id."""
    store = Store(Path(request["root"]))
    ref = reference.parse(request["ref"])
    credentials = Credentials(request["auths"])
    try:
        record = asyncio.run(pull.pull(store, ref, credentials, SystemClock(), tell))
    except UnreachableError as error:
        raise Failure("unreachable", error.why, error.host) from error
    except _EXPECTED as error:
        raise Failure("failed", str(error)) from error
    return [record.id]


if __name__ == "__main__":
    sys.exit(workerio.serve(work))
