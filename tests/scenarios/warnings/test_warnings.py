"""What clients are warned about where an object is good, but old-fashioned or odd."""

from pathlib import Path

import pytest

from petset.api import registry
from petset.api.behaviours import behaviour
from petset.api.names import validate_metadata
from tests.scenarios import golden

HERE = Path(__file__).parent


@pytest.mark.parametrize("case", golden.cases(HERE))
def test_good_objects_come_with_warnings(case: str) -> None:
    made = []
    for doc in golden.read(HERE, case):
        title = doc.pop("title")
        resource = registry.by_api_version(doc["apiVersion"], doc["kind"])
        assert resource is not None
        how = behaviour(resource.id)
        how.default(doc)
        faults = [*validate_metadata(doc, resource.namespaced, how.name_rule), *how.validate(doc)]
        assert faults == []
        lines = how.warnings(doc) or ["nothing"]
        made.append(f"# {title}\n" + "".join(f"{line}\n" for line in lines))
    golden.compare(HERE / f"{case}.output.txt", "\n".join(made))
