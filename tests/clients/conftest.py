"""Client libraries do real work on a test cluster: HTTPS, real controllers, fake nodes."""

import pytest

from petset.testing.background import Options
from petset.testing.plugin import (
    petset_async_cluster as petset_async_cluster,
)
from petset.testing.plugin import (
    petset_cluster as petset_cluster,
)
from petset.testing.plugin import (
    petset_kubeconfig as petset_kubeconfig,
)
from petset.testing.plugin import (
    petset_session_cluster as petset_session_cluster,
)


@pytest.fixture(scope="session")
def petset_options() -> Options:
    return {"nodes": 2}
