"""Quantities: parsing, canonical text, rounding, refusals."""

import pytest

from petset.api import quantity


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", "0"),
        ("0Gi", "0"),
        ("-0", "0"),
        ("1000m", "1"),
        ("0.5", "500m"),
        (".5", "500m"),
        ("1.", "1"),
        ("1500m", "1500m"),
        ("100m", "100m"),
        ("1024Mi", "1Gi"),
        ("1536Mi", "1536Mi"),
        ("1.5Gi", "1536Mi"),
        ("0.5Ki", "512"),
        ("1023", "1023"),
        ("1024", "1024"),
        ("1Ki", "1Ki"),
        ("1.25Ki", "1280"),
        ("1.1Ki", "1126400m"),
        ("0.5Mi", "512Ki"),
        ("1000000", "1M"),
        ("1234000", "1234k"),
        ("100000M", "100G"),
        ("1e3", "1e3"),
        ("1E6", "1e6"),
        ("12e2", "1200"),
        ("1e-3", "1e-3"),
        ("0.1n", "1n"),
        ("-0.1n", "-1n"),
        ("1E", "1E"),
        ("1000E", "9223372036854775807"),
        ("1e999999999999", "9223372036854775807"),
        ("1e-999999999999", "1e-9"),
        ("-5", "-5"),
        ("+5k", "5k"),
        ("-1Gi", "-1Gi"),
        (" 1Gi ", "1Gi"),
        ("0.000000001Ki", "1024n"),
        (2, "2"),
        (0.25, "250m"),
        (1500, "1500"),
        (5000, "5k"),
    ],
)
def test_quantity_prints_in_canonical_form(text: object, expected: str) -> None:
    assert quantity.canonical(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must match the regular expression"),
        ("aoeu", "must match the regular expression"),
        ("1.1.M", "must match the regular expression"),
        ("1+1.0M", "must match the regular expression"),
        ("0.1mi", "unable to parse quantity's suffix"),
        ("1i", "unable to parse quantity's suffix"),
        ("1e", "unable to parse quantity's suffix"),
        ("3.01e-", "unable to parse quantity's suffix"),
        ("1GiB", "must match the regular expression"),
        (".", "unable to parse numeric part"),
        ("٣", "must match the regular expression"),
        ("9" * 5000, "unable to parse numeric part"),
        (True, "must match the regular expression"),
        (None, "must match the regular expression"),
        ([], "must match the regular expression"),
    ],
)
def test_what_is_no_quantity_is_refused_in_upstreams_words(text: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        quantity.parse(text)


def test_helpers_round_up() -> None:
    assert quantity.milli("1") == 1000
    assert quantity.milli("0.0001") == 1
    assert quantity.milli("250m") == 250
    assert quantity.whole("1500m") == 2
    assert quantity.whole("1Gi") == 2**30


def test_amounts_compare_whatever_their_suffix() -> None:
    assert quantity.parse("1Gi") == quantity.parse(str(2**30))
    assert quantity.parse("900m") < quantity.parse("1")
    assert quantity.parse("1k") > quantity.parse("999")


def test_sum_keeps_the_family_of_the_first_amount_that_is_not_zero() -> None:
    total = quantity.Quantity(0) + quantity.parse("1Gi") + quantity.parse("1Mi")
    assert str(total) == "1025Mi"
    assert str(quantity.parse("2") - quantity.parse("500m")) == "1500m"
    assert quantity.parse("1500m").value == quantity.parse("1.5").value
