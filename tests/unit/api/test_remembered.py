"""Short ways through format checks and lists of fields give what the long ways give."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petset.api import names
from petset.api.core.v1 import configmap
from petset.api.decode import check
from petset.api.patch import managed_fields as typed
from petset.api.patch.fieldset import LEAF, SELF

TEXTS = st.text("aZ0-_./ =\u00e9~", max_size=8) | st.sampled_from(["x" * n for n in (253, 254, 63)])
CONFIG_MAP = "io.k8s.api.core.v1.ConfigMap"


@pytest.mark.parametrize("rule", [names.qualified_name, names.label_value])
@given(value=TEXTS)
def test_a_remembered_answer_is_the_first_one_again(
    rule: Callable[[str], list[str]], value: str
) -> None:
    plain: Callable[[str], list[str]] = rule.__wrapped__  # type: ignore[attr-defined]
    first = rule(value)
    assert first == rule(value) == plain(value)
    first.append("changed by its owner")
    assert rule(value) == plain(value)


@given(value=TEXTS)
def test_config_keys_are_judged_by_their_length_their_letters_and_their_dots(value: str) -> None:
    letters = value and all(c.isascii() and (c.isalnum() or c in "-._") for c in value)
    fine = letters and len(value) <= 253 and value != "." and not value.startswith("..")
    assert (names.config_key(value) == []) is bool(fine)


@given(value=TEXTS)
def test_names_of_environment_variables_are_printable_without_equals_signs(value: str) -> None:
    fine = value and all(" " <= c <= "~" and c != "=" for c in value)
    assert (names.env_name(value) == []) is bool(fine)


@given(st.dictionaries(TEXTS, st.one_of(TEXTS, st.none(), st.integers(), st.lists(TEXTS))))
def test_every_wrong_value_of_a_map_is_found(data: dict[str, object]) -> None:
    found = check(CONFIG_MAP, {"data": data})
    wrong = [f"data.{k}" for k, v in data.items() if v is not None and not isinstance(v, str)]
    assert [path for path, _ in found.errors] == wrong


@given(st.dictionaries(TEXTS, TEXTS))
def test_a_map_of_leaves_owns_each_key(data: dict[str, str]) -> None:
    shape = typed.of_type(CONFIG_MAP).places["data"][1]
    leaves = {f"f:{key}": LEAF for key in data}
    assert typed.added(shape, data) == ({SELF: LEAF, **leaves} if data else LEAF)
    assert typed.applied(shape, data) == (leaves if data else LEAF)


@given(st.dictionaries(TEXTS, st.one_of(TEXTS, st.integers()), max_size=4))
def test_what_is_plain_has_no_fault(data: dict[str, object]) -> None:
    plain = configmap._is_plain(data)
    faults = list(configmap._faults(data, {}))
    assert not (plain and faults)
    if not faults and not any(k.startswith(".") for k in data):
        assert plain is all(isinstance(v, str) for v in data.values())


def test_what_may_be_too_large_is_measured() -> None:
    for size, fine in ((2**18, True), (2**20 - 1, True), (2**20, True), (2**20 + 1, False)):
        assert (configmap.validate({"data": {"k": "x" * size}}) == []) is fine
    assert configmap.validate({"data": {"k": "\u00e9" * (2**19 + 1)}}) != []
