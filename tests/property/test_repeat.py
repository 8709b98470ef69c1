"""What is recognised as a repeated request is what the parser makes of the same bytes."""

from hypothesis import example, given
from hypothesis import strategies as st

from petset.base.http import PeerCertificate, Request
from petset.base.intake import Incoming, Intake, Limits, Stage
from petset.base.repeat import Repeats

PEER = PeerCertificate("admin", ("system:masters",))
LINES = st.sampled_from(
    [
        b"Host: h",
        b"host:h",
        b"Host: other",
        b"Accept: application/json",
        b"Accept: application/json\t ",
        b"User-Agent: kubectl/v1.32.4 (linux/amd64)",
        b"X: caf\xc3\xa9",
        b"X:",
        b"Connection: close",
        b"Connection: keep-alive",
        b"Connection: Upgrade\r\nUpgrade: websocket",
        b"Content-Length: 0",
        b"Content-Length: 3",
        b"Transfer-Encoding: chunked",
        b"Expect: 100-continue",
        b" folded",
    ]
)
BLOCKS = st.lists(LINES, max_size=5).map(lambda lines: b"\r\n".join([b"", *lines, b"", b""]))
TAILS = st.sampled_from([b"", b"", b"", b"\r\n", b"abc", b"0\r\n\r\n", b"GET /b HTTP/1.1\r\n"])
METHODS = st.sampled_from(
    [b"GET", b"GET", b"GET", b"HEAD", b"POST", b"POST", b"get", b"\r\nGET", b"GET "]
)
PATHS = st.one_of(
    st.sampled_from([b"/", b"/a?b=c", b"/%41", b"/%zz", b"*", b"http://h/a", b"//h/a", b"/a#b"]),
    st.text("abZ09/._~:@!$&'()*+,;=-?%#<> \x00\x7f\u00e9", max_size=12).map(
        lambda text: b"/" + text.encode()
    ),
    st.just(b"/" + b"x" * 1100),
)
VERSIONS = st.sampled_from([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"http/1.1"])
HEADS = st.tuples(METHODS, PATHS, VERSIONS).map(b" ".join)

POSTED = b"\r\nHost: h\r\nContent-Length: 3\r\n\r\n"


def parsed(data: bytes) -> tuple[Incoming | None, bool]:
    """The first message of a read as the parser sees it, and whether it is all there is."""
    intake = Intake(Limits(), PEER, "h:1")
    intake.feed(data)
    first = intake.ready[0] if intake.ready else None
    whole = len(intake.ready) == 1 and intake.stage is Stage.IDLE
    return (first, whole) if isinstance(first, Incoming) else (None, False)


@given(HEADS, HEADS, BLOCKS, BLOCKS, TAILS)
@example(b"GET /a HTTP/1.1", b"GET /b HTTP/1.1", b"\r\nHost: h\r\n\r\n", b"", b"")
@example(b"POST /a HTTP/1.1", b"POST /b HTTP/1.1", POSTED, b"", b"abc")
@example(b"POST /a HTTP/1.1", b"POST /b HTTP/1.1", POSTED, POSTED, b"abc")
def test_a_repeated_request_is_what_the_parser_reads(
    first: bytes, second: bytes, block: bytes, other: bytes, tail: bytes
) -> None:
    repeats = Repeats()
    learned = first + block + tail
    before, whole = parsed(learned)
    if before is not None and whole:
        repeats.learn(learned, before)
    for data in (second + block + tail, second + other, second + block, learned):
        found = repeats.request(data)
        if found is None:
            continue
        expected, alone = parsed(data)
        assert expected is not None
        assert alone
        assert expected.keep_alive
        assert not expected.upgrade
        assert plain(found) == plain(expected.request)


def plain(request: Request) -> dict[str, object]:
    return {
        "method": request.method,
        "path": request.path,
        "query": list(request.query),
        "headers": dict(request.headers),
        "body": request.body,
        "target": request.raw_target,
        "peer": request.peer,
        "identity": request.identity,
        "remote": request.remote,
    }


def test_requests_with_the_same_lines_share_notes_and_others_do_not() -> None:
    repeats = Repeats()
    one, other = b" HTTP/1.1\r\nHost: h\r\n\r\n", b" HTTP/1.1\r\nHost: h\r\nX: 1\r\n\r\n"
    for block in (one, other):
        data = b"GET /a" + block
        before, _ = parsed(data)
        assert before is not None
        repeats.learn(data, before)
        first, second = repeats.request(b"GET /b" + block), repeats.request(b"GET /c" + block)
        assert first is not None
        assert second is not None
        assert first.notes == {}
        assert first.notes is second.notes
        first.notes["seen"] = True
    assert repeats.request(b"GET /a" + one) is None


def test_posts_with_the_same_lines_are_recognised_whatever_their_bodies() -> None:
    repeats = Repeats()
    longer = b"\r\nHost: h\r\nContent-Length: 4\r\n\r\n"
    for block, body in ((POSTED, b"abc"), (longer, b"abcd")):
        data = b"POST /a HTTP/1.1" + block + body
        before, _ = parsed(data)
        assert before is not None
        repeats.learn(data, before)
    for block, body in ((POSTED, b"xyz"), (longer, b"\r\n\r\n"), (POSTED, b"   ")):
        found = repeats.request(b"POST /b HTTP/1.1" + block + body)
        assert found is not None
        assert (found.method, found.path, found.body) == ("POST", "/b", body)
    assert repeats.request(b"POST /b HTTP/1.1" + POSTED + b"ab") is None
    assert repeats.request(b"POST /b HTTP/1.1" + POSTED + b"abcd") is None
    assert repeats.request(b"GET /b HTTP/1.1" + POSTED + b"abc") is None
