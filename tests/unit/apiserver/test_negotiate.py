"""Accept headers and other words between client and server."""

import pytest

from petset.api.errors import StatusError
from petset.apiserver import negotiate, warnings
from petset.apiserver.negotiate import LIST, OBJECT, OTHER, PROTOBUF, WATCH, Format

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@pytest.mark.parametrize(
    ("accept", "shape", "wanted"),
    [
        ("", OBJECT, Format()),
        ("*/*", LIST, Format()),
        ("application/json", WATCH, Format()),
        ("application/yaml", OBJECT, Format("application/yaml")),
        ("application/yaml;q=0.5, application/json", OBJECT, Format()),
        ("text/html, application/*;q=0.1", OBJECT, Format()),
        (TABLE, LIST, Format(form="Table")),
        (f"{TABLE}, application/json", OTHER, Format()),
        ("application/json;as=Table;v=v2;g=meta.k8s.io,application/json", LIST, Format()),
        ("application/cbor;q=1,application/json;q=0.9", LIST, Format()),
        ("application/yaml, application/json", WATCH, Format()),
        (f"{PROTOBUF};stream=watch", WATCH, Format(PROTOBUF)),
        (f"{PROTOBUF},application/json", OBJECT, Format(PROTOBUF)),
        (f"application/json,{PROTOBUF}", OBJECT, Format()),
        (f"application/json;q=0.9,{PROTOBUF}", OTHER, Format(PROTOBUF)),
        (f"{PROTOBUF};as=Table;v=v1;g=meta.k8s.io,{TABLE}", LIST, Format(form="Table")),
    ],
)
def test_the_first_clause_that_can_be_met_is_taken(accept: str, shape: str, wanted: Format) -> None:
    assert negotiate.choose(accept, shape) == wanted


def test_long_headers_are_met_and_not_remembered() -> None:
    kept = negotiate._kept.cache_info
    before = kept().currsize
    longest = f"{PROTOBUF};x={'y' * 10_000}"
    assert negotiate.choose(longest, LIST) == Format(PROTOBUF)
    assert kept().currsize == before
    usual = f"{PROTOBUF};x=only-here"
    assert negotiate.choose(usual, LIST) is negotiate.choose(usual, LIST)
    assert kept().currsize == before + 1


@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", TABLE.replace("v1", "v3")])
def test_nothing_that_can_be_met_is_an_error(accept: str) -> None:
    with pytest.raises(StatusError) as caught:
        negotiate.choose(accept, LIST)
    assert caught.value.code == 406


@pytest.mark.parametrize(
    ("header", "wanted"),
    [("gzip", True), ("br, gzip;q=0.5", True), ("gzip;q=0", False), ("", False), ("br", False)],
)
def test_gzip(header: str, wanted: bool) -> None:
    assert negotiate.accepts_gzip(header) is wanted


def test_warnings_are_escaped_cut_and_said_once() -> None:
    assert warnings.headers(['a "b" \\ c\n', "x", "x"]) == [
        ("Warning", '299 - "a \\"b\\" \\\\ c "'),
        ("Warning", '299 - "x"'),
    ]
    long = [f"{n}" + "y" * 3000 for n in range(40)]
    cut = warnings.headers(long)
    assert len(cut) == 16
    assert all(len(text) < 300 for _, text in cut)
