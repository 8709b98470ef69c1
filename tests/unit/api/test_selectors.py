"""Label selectors: grammar, matching, printing, validation."""

import pytest

from petset.api import selectors
from petset.api.errors import StatusError

LABELS = {"app": "web", "tier": "", "n": "5"}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("  ", True),
        ("app=web", True),
        ("app==web", True),
        ("app = db", False),
        ("app!=web", False),
        ("app!=db", True),
        ("absent!=x", True),
        ("app", True),
        ("absent", False),
        ("!absent", True),
        ("!app", False),
        ("app in (web, db)", True),
        ("app in (db)", False),
        ("absent in (db)", False),
        ("app notin (db)", True),
        ("app notin (db,web)", False),
        ("absent notin (db)", True),
        ("tier=", True),
        ("tier==", True),
        ("app=", False),
        ("tier in (,a)", True),
        ("tier in (a,)", True),
        ("n>4", True),
        ("n>5", False),
        ("n<6", True),
        ("app>1", False),
        ("app=web,tier=,n", True),
        ("app=web,!n", False),
        ("in in (x)", False),
        ("app=in", False),
    ],
)
def test_text_selector_matches(text: str, matches: bool) -> None:
    assert selectors.parse(text).matches(LABELS) is matches


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("b=1,a", "a,b=1"),
        ("a in (z,y)", "a in (y,z)"),
        ("! a", "!a"),
        ("a  notin(x)", "a notin (x)"),
        ("a==1,b!=2,c>3,d<4", "a==1,b!=2,c>3,d<4"),
        ("k8s.io/a=b", "k8s.io/a=b"),
    ],
)
def test_text_selector_prints_sorted_by_key(text: str, canonical: str) -> None:
    parsed = selectors.parse(text)
    assert str(parsed) == canonical
    assert selectors.parse(canonical) == parsed


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "a b",
            "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
        ),
        ("=b", "found '=', expected: !, identifier, or 'end of string'"),
        ("a,", "found '', expected: identifier after ','"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        ("!a=b", "found '=', expected: ',' or 'end of string'"),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a in ()", "for 'in', 'notin' operators, values set can't be empty"),
        ("a=!b", "unable to parse requirement: found '!', expected: identifier"),
        ("a>x", "the value must be an integer"),
        ("-a=b", "name part must consist of"),
        ("a=-b", r'values[0][a]: Invalid value: "-b": a valid label must be'),
        ("a=" + "x" * 64, "must be no more than 63 bytes"),
        ("X.io/Y/z=b", "a qualified name must consist of"),
        ("X/a", "prefix part a lowercase RFC 1123 subdomain"),
    ],
)
def test_bad_text_selector_is_a_bad_request(text: str, words: str) -> None:
    with pytest.raises(StatusError) as caught:
        selectors.parse(text)
    assert caught.value.code == 400
    assert words in caught.value.message


def test_no_object_selects_nothing_and_an_empty_one_everything() -> None:
    assert not selectors.from_object(None).matches({})
    assert selectors.from_object({}).matches({"a": "b"})
    assert selectors.from_object({}).is_everything
    assert selectors.from_labels(None).is_everything


def test_object_selector_joins_labels_and_expressions() -> None:
    selector = {
        "matchLabels": {"app": "web"},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["b", "a"]},
            {"key": "x", "operator": "DoesNotExist"},
            {"key": "n", "operator": "Exists"},
            {"key": "z", "operator": "NotIn", "values": ["q"]},
        ],
    }
    compiled = selectors.from_object(selector)
    assert compiled.matches({"app": "web", "tier": "a", "n": ""})
    assert not compiled.matches({"app": "web", "tier": "a", "n": "", "x": ""})
    assert not compiled.matches({"app": "web", "tier": "a", "n": "", "z": "q"})
    assert selectors.show(selector) == "app=web,n,tier in (a,b),!x,z notin (q)"
    assert selectors.show({}) == "<none>"


def test_unknown_operator_in_an_object_is_an_error() -> None:
    with pytest.raises(ValueError, match="not a valid label selector operator"):
        selectors.from_object({"matchExpressions": [{"key": "a", "operator": "Like"}]})


def test_validation_names_every_fault() -> None:
    faults = selectors.validate(
        {
            "matchLabels": {"-a": "ok", "b": "-"},
            "matchExpressions": [
                {"key": "a", "operator": "In"},
                {"key": "", "operator": "Exists", "values": ["x"]},
                {"key": "a", "operator": "Like"},
                {"key": "a", "operator": "NotIn", "values": ["ok", "not ok"]},
            ],
        },
        "spec.selector",
    )
    assert [(f.field, f.reason) for f in faults] == [
        ("spec.selector.matchLabels", "FieldValueInvalid"),
        ("spec.selector.matchLabels", "FieldValueInvalid"),
        ("spec.selector.matchExpressions[0].values", "FieldValueRequired"),
        ("spec.selector.matchExpressions[1].values", "FieldValueForbidden"),
        ("spec.selector.matchExpressions[1].key", "FieldValueInvalid"),
        ("spec.selector.matchExpressions[1].key", "FieldValueInvalid"),
        ("spec.selector.matchExpressions[2].operator", "FieldValueInvalid"),
        ("spec.selector.matchExpressions[3].values[1]", "FieldValueInvalid"),
    ]
