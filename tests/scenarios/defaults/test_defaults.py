"""What objects look like once their defaults are filled in, and that those are valid."""

from pathlib import Path

import pytest
import yaml

from petset.api import registry
from petset.api.behaviours import behaviour
from petset.api.names import validate_metadata
from tests.scenarios import golden

HERE = Path(__file__).parent


@pytest.mark.parametrize("case", golden.cases(HERE))
def test_defaults_are_filled_in_and_valid(case: str) -> None:
    made = []
    for doc in golden.read(HERE, case):
        resource = registry.by_api_version(doc["apiVersion"], doc["kind"])
        assert resource is not None
        how = behaviour(resource.id)
        how.default(doc)
        how.prepare_create(doc)
        faults = [*validate_metadata(doc, resource.namespaced, how.name_rule), *how.validate(doc)]
        assert faults == []
        made.append(yaml.safe_dump(doc, sort_keys=False))
    golden.compare(HERE / f"{case}.output.yaml", "---\n".join(made))
