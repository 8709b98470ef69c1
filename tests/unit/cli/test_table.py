from petset.cli import table

TABLE = {
    "columnDefinitions": [
        {"name": "Name", "type": "string"},
        {"name": "Ready", "type": "boolean"},
        {"name": "IP", "type": "string", "priority": 1},
    ],
    "rows": [
        {"cells": ["web-0", True, "10.0.0.1"], "object": {"metadata": {"namespace": "default"}}},
        {"cells": ["a", None, "two\nlines"]},
    ],
}


def test_columns_are_padded_and_wide_ones_hidden() -> None:
    assert table.lines(TABLE) == ["NAME    READY", "web-0   true", "a"]


def test_wide_shows_every_column_and_cuts_at_newlines() -> None:
    assert table.lines(TABLE, wide=True)[-1] == "a               two..."


def test_namespaces_come_from_the_rows_objects() -> None:
    assert table.lines(TABLE, namespaces=True)[1].startswith("default     web-0")
