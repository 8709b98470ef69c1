"""Adoption and release."""

from petset.reconcile import owners
from tests.unit.reconcile.fakes import pod

OWNER = {"metadata": {"name": "web", "uid": "u1"}}
GOING = {"metadata": {"name": "web", "uid": "u1", "deletionTimestamp": "2026-01-01T00:00:00Z"}}
OURS = {"kind": "StatefulSet", "name": "web", "uid": "u1", "controller": True}
THEIRS = {**OURS, "uid": "u2"}
PLAIN = {"kind": "Node", "name": "n", "uid": "u3"}


def test_owned_ones_are_kept_or_released_orphans_adopted_and_foreign_ones_left_out() -> None:
    kept = pod("kept", ownerReferences=[OURS])
    odd = pod("odd", ownerReferences=[OURS])
    orphan = pod("orphan", ownerReferences=[PLAIN])
    foreign = pod("foreign", ownerReferences=[THEIRS])
    going = pod("going", deletionTimestamp="2026-01-01T00:00:00Z")
    found = owners.claim(
        OWNER,
        [kept, odd, orphan, foreign, going],
        matches=lambda o: o["metadata"]["name"] != "odd",
        may_adopt=True,
    )
    assert found == owners.Claims((kept, orphan), (orphan,), (odd,))
    found = owners.claim(OWNER, [orphan], matches=lambda o: True, may_adopt=False)
    assert found == owners.Claims((), (), ())


def test_an_owner_that_is_going_releases_nothing() -> None:
    odd = pod("odd", ownerReferences=[OURS])
    found = owners.claim(GOING, [odd], matches=lambda o: False, may_adopt=False)
    assert found.released == ()
    assert found.kept == (odd,)


def test_references_are_written_under_uid_and_version() -> None:
    orphan = pod("orphan", 7, ownerReferences=[PLAIN])
    patch = owners.adopt("pods", orphan, OURS)
    assert patch.patch == {"metadata": {"ownerReferences": [PLAIN, OURS]}}
    assert (patch.uid, patch.resource_version) == ("uid-orphan", "7")
    patch = owners.release("pods", pod("odd", ownerReferences=[OURS]), "u1")
    assert patch.patch == {"metadata": {"ownerReferences": None}}
    patch = owners.release("pods", pod("odd", ownerReferences=[PLAIN, OURS]), "u1")
    assert patch.patch == {"metadata": {"ownerReferences": [PLAIN]}}
