"""schemathesis for some seconds; `python -m tests.fuzz.schema` goes on for as long as asked."""

import pytest

from tests.fuzz import schema

SECONDS = 15
DOCUMENTS = ["api/v1", "apis/apps/v1", "apis/coordination.k8s.io/v1", "apis/policy/v1"]


@pytest.mark.slow
@pytest.mark.timeout(240)  # reading the documents takes longer than the calls, on a slow machine
@pytest.mark.parametrize("documents", [DOCUMENTS, [schema.V2]], ids=["v3", "v2"])
def test_calls_drawn_from_the_documents_find_no_error_of_the_server(documents: list[str]) -> None:
    with schema.server() as address:
        report = schema.run(address, documents, number=1, seconds=SECONDS)
    assert not report.found, "\n".join(report.found)
    assert report.statuses.total() > 0
