"""Every combination of the options of lists and watches, against their rules put down anew."""

import base64
import itertools
from typing import Any

import orjson
import pytest

from petset.apiserver.verbs import list as listing
from tests.unit.apiserver.harness import MAPS, Server, configmap

FUTURE = "999999"
REVISIONS = ("", "0", "then", "now", FUTURE, "abc")
MATCHES = ("", "Exact", "NotOlderThan", "Odd")
TOKENS = ("", "good", "bad")
OLD, NEW = ["a", "b", "c"], ["b", "c", "d"]
NUMBER = 'resourceVersion: Invalid value: "abc": strconv.ParseUint: parsing "abc": invalid syntax'


async def past(server: Server) -> dict[str, str]:
    """Objects a, b, c as of `then`; b, c, d as of `now`; a token of a list made `then`."""
    for name in "abc":
        await server.make(MAPS, configmap(name))
    page = (await server.get(f"{MAPS}?limit=1")).body["metadata"]
    then = page["resourceVersion"]
    await server.ask("DELETE", f"{MAPS}/a")
    await server.make(MAPS, configmap("d"))
    now = str(server.store.revision)
    return {"then": then, "now": now, "good": page["continue"], "bad": "e30"}


def refusal(revision: str, match: str, token: str) -> tuple[int, str] | None:
    """The status of a list that is refused, and a part of what it is told."""
    faults = []
    if match and not revision:
        faults.append("resourceVersionMatch is forbidden unless resourceVersion is provided")
    if match and token:
        faults.append("resourceVersionMatch is forbidden when continue is provided")
    if match == "Odd":
        faults.append('Unsupported value: "Odd": supported values: "Exact", "NotOlderThan", ""')
    if (match, revision) == ("Exact", "0"):
        faults.append('resourceVersionMatch "exact" is forbidden for resourceVersion "0"')
    if faults:
        return 422, faults[0]
    if token and revision not in ("", "0"):
        return 400, "specifying resource version is not allowed when using continue"
    if token == "bad":
        return 400, "invalid continue token: continue key is not valid: server does not recognize"
    if revision == "abc":
        return 400, f"invalid resource version: {NUMBER}"
    if revision == FUTURE:
        return 504, f"Too large resource version: {FUTURE}, current: "
    return None


def wanted(revision: str, match: str, limit: str, token: str) -> tuple[list[str], str]:
    """What a list that is answered holds, and of which moment it is."""
    if token:
        return OLD[1:], "then"
    exact = match == "Exact" or (not match and limit and revision not in ("", "0"))
    moment = "then" if exact and revision == "then" else "now"
    return (OLD if moment == "then" else NEW), moment


async def test_every_combination_of_a_list(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "WAIT_S", 0.001)
    known = await past(server)
    cases = itertools.product(REVISIONS, MATCHES, ("", "1", "9"), TOKENS)
    for revision, match, limit, token in cases:
        given = {
            "resourceVersion": known.get(revision, revision),
            "resourceVersionMatch": match,
            "limit": limit,
            "continue": known.get(token, token),
        }
        answer = await server.get(MAPS, query=[(k, v) for k, v in given.items() if v])
        told = refusal(revision, match, token)
        if told is not None:
            assert (answer.status, told[1] in answer.body["message"]) == (told[0], True), given
            continue
        assert answer.status == 200, (given, answer.body)
        names, moment = wanted(revision, match, limit, token)
        page = names[: int(limit)] if limit else names
        meta = answer.body["metadata"]
        assert [item["metadata"]["name"] for item in answer.body["items"]] == page, given
        assert meta["resourceVersion"] == known[moment], given
        assert ("continue" in meta) is (len(page) < len(names)), given
        assert meta.get("remainingItemCount", 0) == len(names) - len(page), given


@pytest.mark.parametrize("initial", ["", "true", "false"])
@pytest.mark.parametrize("revision", ["", "0", "then", "now"])
@pytest.mark.parametrize("bookmarks", ["", "true"])
async def test_every_beginning_of_a_watch(
    server: Server, initial: str, revision: str, bookmarks: str
) -> None:
    known = await past(server)
    match = "NotOlderThan" if initial else ""
    given = f"resourceVersion={known.get(revision, revision)}&resourceVersionMatch={match}"
    given += f"&sendInitialEvents={initial}&allowWatchBookmarks={bookmarks}"
    given = "&".join(part for part in given.split("&") if not part.endswith("="))
    said: list[tuple[str, str]] = []
    if initial == "true" or (not initial and revision in ("", "0")):
        said += [("ADDED", name) for name in NEW]
    elif revision == "then":
        said += [("DELETED", "a"), ("ADDED", "d")]
    if initial == "true" and bookmarks:
        said.append(("BOOKMARK", ""))
    async with server.watching(f"{MAPS}?{given}") as ear:
        await ear.until(len(said))
        await server.make(MAPS, configmap("z"))
        await ear.until(len(said) + 1)
        assert ear.names() == [*said, ("ADDED", "z")]


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        (
            "resourceVersionMatch=NotOlderThan",
            422,
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ),
        (
            "sendInitialEvents=true",
            422,
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ),
        (
            "sendInitialEvents=true&resourceVersionMatch=Exact&resourceVersion=1",
            422,
            'Unsupported value: "Exact": supported values: "NotOlderThan"',
        ),
        (
            "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&continue=x",
            422,
            "resourceVersionMatch is forbidden when continue is provided",
        ),
        ("resourceVersion=abc", 400, NUMBER),
        ("resourceVersion=-1", 400, 'parsing "-1": invalid syntax'),
        ("resourceVersion=18446744073709551616", 400, "value out of range"),
        ("timeoutSeconds=soon", 400, 'strconv.ParseInt: parsing "soon": invalid syntax'),
        ("allowWatchBookmarks=maybe", 400, 'strconv.ParseBool: parsing "maybe": invalid syntax'),
        ("sendInitialEvents=maybe", 400, 'strconv.ParseBool: parsing "maybe": invalid syntax'),
    ],
)
async def test_watches_that_are_refused(
    server: Server, query: str, status: int, message: str
) -> None:
    answer = await server.get(f"{MAPS}?watch=1&{query}")
    assert answer.status == status
    assert message in answer.body["message"]


def token(**fields: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(fields)).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("!!", ": the token cannot be decoded"),
        (token(v="meta.k8s.io/v2"), ": server does not recognize this encoded version meta.k8s.io"),
        (
            token(v="meta.k8s.io/v1", start="configmaps/x"),
            ": incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
        ),
        (
            token(v="meta.k8s.io/v1", rv=3),
            ": encoded start key empty (version meta.k8s.io/v1)",
        ),
        (token(v="meta.k8s.io/v1", rv=3, start="secrets/x"), ": secrets/x"),
    ],
)
async def test_tokens_that_are_refused(server: Server, text: str, why: str) -> None:
    answer = await server.get(f"{MAPS}?continue={text}")
    assert (answer.status, answer.body["reason"]) == (400, "BadRequest")
    message = f"invalid continue token: continue key is not valid{why}"
    assert answer.body["message"].startswith(message)


async def test_a_get_waits_for_its_revision(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "WAIT_S", 0.001)
    made = await server.make(MAPS, configmap("a"))
    for revision in ("0", made["metadata"]["resourceVersion"]):
        assert (await server.get(f"{MAPS}/a?resourceVersion={revision}")).status == 200
    late = await server.get(f"{MAPS}/a?resourceVersion={FUTURE}")
    assert (late.status, late.body["reason"]) == (504, "Timeout")
    wrong = await server.get(f"{MAPS}/a?resourceVersion=abc")
    assert (wrong.status, NUMBER in wrong.body["message"]) == (400, True)


async def test_what_leaves_a_selector_is_deleted_as_it_was(server: Server) -> None:
    await server.make(MAPS, configmap("a", {"k": "1"}, labels={"x": "1"}))
    async with server.watching(f"{MAPS}?labelSelector=x=1") as ear:
        await ear.until(1)
        left = await server.patch(f"{MAPS}/a", {"data": {"k": "2"}, "metadata": {"labels": None}})
        back = await server.patch(f"{MAPS}/a", {"metadata": {"labels": {"x": "1"}}})
        events = await ear.until(3)
    assert [e["type"] for e in events] == ["ADDED", "DELETED", "ADDED"]
    gone, came = events[1]["object"], events[2]["object"]
    assert (gone["data"], gone["metadata"]["labels"]) == ({"k": "1"}, {"x": "1"})
    assert gone["metadata"]["resourceVersion"] == left.body["metadata"]["resourceVersion"]
    assert came == back.body
