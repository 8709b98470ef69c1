import yaml
from hypothesis import given
from hypothesis import strategies as st

from petset.cli import yamlout

LEAVES = (
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8"), max_size=40)
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text("abc-/.", min_size=1), inner)
)


@given(VALUES)
def test_what_is_written_reads_back_the_same(value: object) -> None:
    assert yaml.safe_load(yamlout.dump(value)) == value


def test_text_looks_as_kubectl_writes_it() -> None:
    value = {"b": "yes", "a": "1", "text": "one\ntwo\n", "empty": "", "list": [{"x": 1}], "n": None}
    assert yamlout.dump(value) == (
        'a: "1"\nb: "yes"\nempty: ""\nlist:\n- x: 1\nn: null\ntext: |\n  one\n  two\n'
    )


def test_shared_values_are_written_out() -> None:
    shared = {"x": 1}
    assert "&" not in yamlout.dump([shared, shared])
