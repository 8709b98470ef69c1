"""Small checks."""

from petset.api import check


def test_members_that_are_null_count_as_absent() -> None:
    obj = {"a": None, "b": {"c": {"d": 1}}}
    assert check.items(obj, "a") == ()
    assert check.child(obj, "a") == {}
    assert check.child(obj, "b", "c") == {"d": 1}
    assert check.child(obj, "b", "x", "y") == {}


def test_fill_keeps_zero_and_false() -> None:
    obj = {"zero": 0, "no": False, "none": None, "empty": ""}
    for key in (*obj, "absent"):
        check.fill(obj, key, 7)
    assert obj == {"zero": 0, "no": False, "none": 7, "empty": 7, "absent": 7}


def test_fill_number_takes_zero_for_unset() -> None:
    obj = {"zero": 0, "one": 1}
    check.fill_number(obj, "zero", 7)
    check.fill_number(obj, "one", 7)
    assert obj == {"zero": 7, "one": 1}


def test_empty_members_compare_as_absent_but_zero_does_not() -> None:
    assert check.semantically({"a": None, "b": {}, "c": [], "d": {"e": ""}}) == {}
    assert check.semantically({"a": 0, "b": False, "c": [{}]}) == {"a": 0, "b": False, "c": [{}]}


def test_changes_name_every_difference_by_path() -> None:
    new = {"a": [{"b": 1}, 2], "c": None, "d": "x"}
    old = {"a": [{"b": 2}, 2], "c": [1], "d": "x"}
    assert check.changes(new, old) == "\n  a[0].b: 2 -> 1\n  c: [1] -> null"


def test_zero_percent_is_zero() -> None:
    assert [v for v in (0, "0%", 1, "1%", "x") if check.is_zero(v)] == [0, "0%"]


def test_only_plain_addresses_are_addresses() -> None:
    good = ["10.0.0.1", "fd00::1"]
    bad = ["10.0.0", "10.0.0.01", "fe80::1%eth0", "", None, 5]
    assert [v for v in (*good, *bad) if check.parse_ip(v)] == good
