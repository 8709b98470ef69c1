"""What `kubectl get -o wide` prints, per kind."""

from pathlib import Path

import pytest

from petset.api import registry, table
from petset.api.behaviours import behaviour
from petset.api.meta import parse_time
from tests.scenarios import golden

HERE = Path(__file__).parent
NOW = parse_time("2026-11-20T12:00:00Z") or 0.0


def _resource_id(api_version: str, kind: str) -> str:
    resource = registry.by_api_version(api_version, kind)
    assert resource is not None, f"{api_version} {kind}"
    return resource.id


def _text(rows: list[list[str]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ["   ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
    return "".join(f"{line.rstrip()}\n" for line in lines)


@pytest.mark.parametrize("case", golden.cases(HERE))
def test_rows_print_as_kubectl_shows_them(case: str) -> None:
    made = []
    by_kind: dict[tuple[str, str], list[dict[str, object]]] = {}
    for doc in golden.read(HERE, case):
        by_kind.setdefault((doc["apiVersion"], doc["kind"]), []).append(doc)
    for (api_version, kind), docs in by_kind.items():
        how = behaviour(_resource_id(api_version, kind))
        for doc in docs:
            how.default(doc)
        rendered = table.render(how, docs, NOW)
        columns = rendered["columnDefinitions"]
        head = [c["name"].upper() + ("*" if c["priority"] else "") for c in columns]
        rows = [["" if c is None else str(c) for c in row["cells"]] for row in rendered["rows"]]
        assert all(len(row) == len(head) for row in rows)
        made.append(_text([head, *rows]))
    golden.compare(HERE / f"{case}.output.txt", "\n".join(made))
