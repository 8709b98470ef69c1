import pytest

from petset.api import meta
from petset.api.meta import Obj
from petset.client.cache import Cache
from tests.unit.client.api import pod

Seen = list[tuple[str | None, str | None]]


def listen(cache: Cache) -> Seen:
    seen: Seen = []

    def show(obj: Obj | None) -> str | None:
        return None if obj is None else f"{meta.key_of(obj)}@{meta.version_of(obj)}"

    cache.add_handler(lambda old, new: seen.append((show(old), show(new))))
    return seen


def names(objects: object) -> list[str]:
    assert isinstance(objects, list)
    return [meta.name_of(obj) for obj in objects]


def test_replace_tells_handlers_only_what_differs() -> None:
    cache = Cache("pods")
    cache.replace([pod("a", 1), pod("b", 2), pod("c", 3)], "3")
    seen = listen(cache)
    assert seen == [(None, "default/a@1"), (None, "default/b@2"), (None, "default/c@3")]
    seen.clear()
    cache.replace([pod("a", 1), pod("b", 5), pod("d", 6)], "6")
    assert sorted(seen, key=str) == sorted(
        [
            ("default/c@3", None),
            ("default/b@2", "default/b@5"),
            (None, "default/d@6"),
        ],
        key=str,
    )
    assert cache.resource_version == "6"


def test_handlers_of_a_replace_see_the_whole_new_state() -> None:
    cache = Cache("pods")
    counts: list[int] = []
    cache.add_handler(lambda old, new: counts.append(len(cache.list())))
    cache.replace([pod("a", 1), pod("b", 2)], "2")
    assert counts == [2, 2]
    assert cache.synced


def test_events_change_the_cache_and_reach_handlers() -> None:
    cache = Cache("pods")
    seen = listen(cache)
    cache.apply("ADDED", pod("a", 1))
    cache.apply("MODIFIED", pod("a", 2))
    cache.apply("DELETED", pod("a", 3))
    assert seen == [
        (None, "default/a@1"),
        ("default/a@1", "default/a@2"),
        ("default/a@3", None),
    ]
    assert cache.get("default", "a") is None


def test_deleting_what_is_not_there_says_nothing() -> None:
    cache = Cache("pods")
    seen = listen(cache)
    cache.apply("DELETED", pod("a", 3))
    assert seen == []


def test_lists_are_in_key_order_whole_and_by_namespace() -> None:
    cache = Cache("pods")
    for name, namespace in (("b", "two"), ("a", "two"), ("c", "one")):
        cache.apply("ADDED", pod(name, 1, namespace))
    assert names(cache.list()) == ["c", "a", "b"]
    assert names(cache.list("two")) == ["a", "b"]
    assert names(cache.list("three")) == []
    cache.apply("ADDED", pod("aa", 2, "two"))
    assert names(cache.list()) == ["c", "a", "aa", "b"]


def test_a_listing_may_be_changed_by_its_reader_without_harm() -> None:
    cache = Cache("pods")
    cache.apply("ADDED", pod("a", 1))
    listing = cache.list()
    assert isinstance(listing, list)
    listing.clear()
    assert names(cache.list()) == ["a"]


def test_an_index_follows_changes_of_what_it_files_by() -> None:
    cache = Cache("pods")
    cache.apply("ADDED", pod("a", 1, app="x"))
    cache.add_index("app", lambda obj: [meta.labels_of(obj).get("app", "")])
    cache.apply("ADDED", pod("b", 2, app="x"))
    assert names(cache.by_index("app", "x")) == ["a", "b"]
    cache.apply("MODIFIED", pod("a", 3, app="y"))
    assert names(cache.by_index("app", "x")) == ["b"]
    assert names(cache.by_index("app", "y")) == ["a"]
    cache.apply("DELETED", pod("b", 4, app="x"))
    assert names(cache.by_index("app", "x")) == []


def test_an_unknown_index_is_an_error() -> None:
    with pytest.raises(KeyError):
        Cache("pods").by_index("app", "x")


def test_an_index_follows_objects_that_change_what_they_are_filed_under() -> None:
    cache = Cache("pods")
    cache.add_index("app", lambda o: [o["metadata"]["labels"]["app"]])
    for version, app in ((1, "a"), (2, "a"), (3, "b")):
        metadata = {"name": "p", "resourceVersion": str(version), "labels": {"app": app}}
        cache.apply("MODIFIED", {"metadata": metadata})
        assert [o["metadata"]["resourceVersion"] for o in cache.by_index("app", app)] == [
            str(version)
        ]
    assert (cache.count("app", "a"), cache.count("app", "b")) == (0, 1)
