"""The faults of bad objects, all at once, in upstream's words.

A document is an object to create, or `{old: ..., new: ...}`: an update, where `new` holds only
what is different (`status: true` beside them: through /status).
"""

from pathlib import Path
from typing import Any

import pytest

from petset.api import convert, registry
from petset.api.behaviours import behaviour
from petset.api.errors import FieldError
from petset.api.names import validate_metadata, validate_metadata_update
from petset.api.patch import merge
from tests.scenarios import golden

HERE = Path(__file__).parent


def _created(doc: dict[str, Any]) -> list[FieldError]:
    resource = registry.by_api_version(doc["apiVersion"], doc["kind"])
    assert resource is not None
    how = behaviour(resource.id)
    doc = dict(convert.to_storage(resource, doc))
    how.default(doc)
    return [*validate_metadata(doc, resource.namespaced, how.name_rule), *how.validate(doc)]


def _updated(old: dict[str, Any], patch: dict[str, Any], *, status: bool) -> list[FieldError]:
    resource = registry.by_api_version(old["apiVersion"], old["kind"])
    assert resource is not None
    how = behaviour(resource.id)
    new = dict(convert.to_storage(resource, merge.apply(old, patch)))
    old = dict(convert.to_storage(resource, old))
    how.default(old)
    faults = validate_metadata_update(new, old)
    if status:
        return [*faults, *how.validate_status(new, old)]
    how.default(new)
    how.prepare_update(new, old)
    faults += how.validate_update(new, old)
    return faults if how.validates_update_alone else [*faults, *how.validate(new)]


@pytest.mark.parametrize("case", golden.cases(HERE))
def test_faults_are_named_all_at_once(case: str) -> None:
    made = []
    for doc in golden.read(HERE, case):
        title = doc.pop("title")
        if "old" in doc:
            faults = _updated(doc["old"], doc["new"], status=bool(doc.get("status")))
        else:
            faults = _created(doc)
        lines = [str(f) for f in faults] or ["valid"]
        made.append(f"# {title}\n" + "".join(f"{line}\n" for line in lines))
    golden.compare(HERE / f"{case}.output.txt", "\n".join(made))
