"""What the Warning header says about pods and what makes them, where it is hardly meant so.

A document is an object to create, or `{old: ..., new: ...}`: an update, where `new` holds only
what is different.
"""

from pathlib import Path

import pytest

from petset.api import registry
from petset.api.behaviours import behaviour
from petset.api.patch import merge
from tests.scenarios import golden

HERE = Path(__file__).parent


@pytest.mark.parametrize("case", golden.cases(HERE))
def test_what_is_odd_about_pods_is_told(case: str) -> None:
    made = []
    for doc in golden.read(HERE, case):
        title, old = doc.pop("title"), doc.get("old")
        stored = old or doc
        resource = registry.by_api_version(stored["apiVersion"], stored["kind"])
        assert resource is not None
        how = behaviour(resource.id)
        how.default(stored)
        if old is None:
            texts = how.warnings(doc)
        else:
            new = merge.apply(old, doc["new"])
            how.default(new)
            texts = how.warnings_of_update(new, old)
        lines = list(texts) or ["nothing"]
        made.append(f"# {title}\n" + "".join(f"{line}\n" for line in lines))
    golden.compare(HERE / f"{case}.output.txt", "\n".join(made))
