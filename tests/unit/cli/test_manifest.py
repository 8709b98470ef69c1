import orjson
import pytest

from petset.cli import manifest
from petset.cli.failure import Failure


def applied(obj: dict) -> dict:  # type: ignore[type-arg]
    return manifest.with_annotation(obj)


def config(data: dict[str, str], **meta: object) -> dict:  # type: ignore[type-arg]
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", **meta},
        "data": data,
    }


def test_unchanged_manifest_makes_no_patch() -> None:
    live = applied(config({"x": "1"}))
    live["metadata"]["resourceVersion"] = "7"
    live["immutable"] = False
    assert manifest.patch(config({"x": "1"}), live) == {}


def test_changed_value_is_patched_with_the_annotation() -> None:
    change = manifest.patch(config({"x": "2"}), applied(config({"x": "1"})))
    assert change["data"] == {"x": "2"}
    note = change["metadata"]["annotations"][manifest.LAST_APPLIED]
    assert orjson.loads(note)["data"] == {"x": "2"}


def test_key_left_out_is_removed_only_if_it_was_applied_before() -> None:
    live = applied(config({"x": "1", "y": "1"}))
    live["data"]["other"] = "kept"
    assert manifest.patch(config({"x": "1"}), live)["data"] == {"y": None}


def test_defaults_added_by_the_server_inside_lists_are_no_difference() -> None:
    wanted = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a"},
        "spec": {"l": [{"a": 1}]},
    }
    live = applied(wanted)
    live["spec"] = {"l": [{"a": 1, "defaulted": True}]}
    assert manifest.patch(wanted, live) == {}


def test_null_in_a_manifest_is_as_good_as_absent() -> None:
    wanted = config({"x": "1"}, labels=None)
    assert manifest.patch(wanted, applied(config({"x": "1"}))).get("data") is None


def test_lists_and_several_documents_are_read(tmp_path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "a.yaml"
    file.write_text(
        "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: A}\n---\n"
        "apiVersion: v1\nkind: B\n---\n"
    )
    assert [o["kind"] for o in manifest.read([str(tmp_path)])] == ["A", "B"]


@pytest.mark.parametrize("text", ["a: [", "just text", "kind: X"])
def test_unreadable_manifests_are_refused_by_file_name(tmp_path, text: str) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(Failure, match=r"bad\.yaml"):
        list(manifest.read([str(file)]))


def test_drift_of_the_live_object_is_patched_back() -> None:
    live = applied(config({"x": "1"}))
    live["data"]["x"] = "drifted"
    assert manifest.patch(config({"x": "1"}), live)["data"] == {"x": "1"}
