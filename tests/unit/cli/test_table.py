from petset.cli.table import Printer

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


def test_columns_are_padded_but_the_last_and_wide_ones_hidden() -> None:
    assert Printer().lines([TABLE]) == ["NAME    READY", "web-0   true", "a       "]


def test_wide_shows_every_column_and_cuts_at_newlines() -> None:
    assert Printer(wide=True).lines([TABLE])[-1] == "a               two..."


def test_namespaces_come_from_the_rows_objects() -> None:
    assert Printer(namespaces=True).lines([TABLE])[1].startswith("default     web-0")


def test_cells_are_at_least_six_wide() -> None:
    table = {"columnDefinitions": [{"name": "A"}, {"name": "B"}], "rows": [{"cells": ["x", "y"]}]}
    assert Printer().lines([table]) == ["A     B", "x     y"]


def test_tables_of_one_resource_share_header_and_widths() -> None:
    other = {**TABLE, "rows": [{"cells": ["much-longer", False, ""]}]}
    assert Printer().lines([TABLE, other]) == [
        "NAME          READY",
        "web-0         true",
        "a             ",
        "much-longer   false",
    ]


def test_later_rows_keep_the_widths_and_take_no_header() -> None:
    printer = Printer()
    printer.lines([TABLE])
    assert printer.lines([{"rows": [{"cells": ["b", True, ""]}]}]) == ["b       true"]


def test_header_waits_for_the_first_row() -> None:
    printer = Printer()
    assert printer.lines([{**TABLE, "rows": []}]) == []
    later = {**TABLE, "rows": [{"cells": ["b", True, ""]}]}
    assert printer.lines([later]) == ["NAME   READY", "b      true"]


def test_names_get_the_resource_when_several_are_shown() -> None:
    assert Printer(prefix="pod").lines([TABLE])[1].startswith("pod/web-0")


def test_control_characters_do_not_reach_the_terminal() -> None:
    table = {"columnDefinitions": [{"name": "A"}], "rows": [{"cells": ["\x1b[31mred"]}]}
    assert Printer().lines([table])[1] == "^[[31mred"
