"""Field selectors: terms, escapes, what is refused."""

import pytest

from petset.api import fieldselectors
from petset.api.errors import StatusError


def test_field_selector_splits_into_terms() -> None:
    terms = fieldselectors.parse(r"metadata.name=a\,b\=c,status.phase!=Failed,x==,")
    assert [tuple(t) for t in terms] == [
        ("metadata.name", True, "a,b=c"),
        ("status.phase", False, "Failed"),
        ("x", True, ""),
    ]
    assert terms[1].matches("Running")
    assert not terms[1].matches("Failed")
    assert fieldselectors.parse(str(terms[0])) == terms[:1]
    assert fieldselectors.parse("") == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("metadata.name", "invalid selector: 'metadata.name'; can't understand 'metadata.name'"),
        (r"a=b\c", r"invalid field selector: invalid escape sequence: \c"),
        ("a=b=c", "invalid field selector: unescaped character in value: 61"),
    ],
)
def test_bad_field_selector_is_a_bad_request(text: str, words: str) -> None:
    with pytest.raises(StatusError) as caught:
        fieldselectors.parse(text)
    assert caught.value.code == 400
    assert caught.value.message == words
