"""exec, attach and port-forward to containers that have ended: the kubelet's words."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from petset.api.meta import Obj
from petset.base.http import PeerCertificate, Request, Response
from petset.node import exec as execs
from petset.node.runtime.base import Attachable
from petset.testing.runtime import Behaviour
from tests.unit.node.rig import Rig, played

MASTER = PeerCertificate("petset-apiserver", ("system:masters",))


def has_ended(pod: Obj) -> bool:
    return bool(pod["status"]["phase"] == "Succeeded")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("exec/default/p/c", b'container not found ("c")'),
        ("attach/default/p/c", b"container c not found in pod p_default"),
        ("portForward/default/p", b'pod not found ("p_default")'),
    ],
)
def test_what_has_ended_takes_no_streams(tmp_path: Path, path: str, words: bytes) -> None:
    async def story(here: Rig) -> None:
        await here.stop()
        agent = await here.start()
        here.scripts["c"] = Behaviour(exit_after_s=1.0)
        await here.create(restartPolicy="Never")
        await here.until(has_ended)
        query = [("command", "ls"), ("output", "1"), ("ports", "80")]
        headers = {"upgrade": "SPDY/3.1", "x-stream-protocol-version": "portforward.k8s.io"}
        asked = Request("POST", f"/{path}", query=query, headers=headers, peer=MASTER)
        reply = await agent.server.handle(asked)
        assert isinstance(reply, Response)
        assert (reply.status, reply.body) == (500, words)

    played(tmp_path, story)


class Peer:
    """Keeps the status that a session ends with."""

    def __init__(self) -> None:
        self.told: Mapping[str, object] = {}

    async def finish(self, status: Mapping[str, object]) -> None:
        self.told = status


async def test_a_container_that_ends_before_it_is_joined(tmp_path: Path) -> None:
    peer = Peer()
    where = Attachable(tmp_path / "attach", tmp_path / "sizes")
    await execs.attach(where, execs.Asked(), peer)  # type: ignore[arg-type]
    assert peer.told["message"] == (
        "Internal error occurred: error attaching to container: "
        "container is in CONTAINER_EXITED state"
    )
