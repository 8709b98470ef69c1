import pytest

from petset.cli import targets
from petset.cli.failure import Failure


def pairs(*words: str) -> list[tuple[str, str]]:
    return [(resource.id, name) for resource, name in targets.parse(words)]


def test_types_are_known_by_every_name_people_use() -> None:
    for word in ("sts", "statefulset", "StatefulSets", "statefulsets.apps"):
        assert targets.find(word).id == "statefulsets.apps"
    assert targets.find("ev").id == "events"
    assert targets.find("events.events.k8s.io").id == "events.events.k8s.io"


def test_types_and_names_are_combined() -> None:
    assert pairs("pods") == [("pods", "")]
    assert pairs("pod", "a", "b") == [("pods", "a"), ("pods", "b")]
    assert pairs("po,svc") == [("pods", ""), ("services", "")]
    assert pairs("pod/a", "svc/b") == [("pods", "a"), ("services", "b")]
    assert ("statefulsets.apps", "") in pairs("all")


@pytest.mark.parametrize(
    "words",
    [(), ("gadgets",), ("pod/a", "b"), ("pod/",), ("pod/a/b",), ("pods", "a b"), ("pods", "%2e")],
)
def test_what_names_nothing_is_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(Failure):
        targets.parse(words)
