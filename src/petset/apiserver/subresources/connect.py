"""pods/exec, attach and portforward: the client's upgrade is passed to the agent, then bytes."""

from collections.abc import Awaitable, Callable
from urllib.parse import quote, urlencode

from petset.api.errors import bad_request
from petset.api.meta import name_of
from petset.apiserver import agentwire
from petset.apiserver.agentwire import AgentAnswer
from petset.apiserver.call import Call
from petset.apiserver.subresources import podtarget
from petset.apiserver.subresources.log import passed_on
from petset.apiserver.verbs.listing import boolean
from petset.base.http import Duplex, Reply, Request, Upgrade

_PASSED = ("upgrade", "user-agent", "x-stream-protocol-version")
_STREAMS = {"stdin": "input", "stdout": "output", "stderr": "error", "tty": "tty"}
"""Our parameters, and what agents call them."""


async def execute(call: Call) -> Reply:
    """Run a command in a container, its streams over the upgraded connection."""
    request = call.request
    _check_upgrade(request)
    command = request.params("command")
    if not command:
        raise bad_request("you must specify a command to run")
    streams = _streams(request)
    pairs = [*streams, *(("command", word) for word in command)]
    return await _connect(call, "exec", pairs)


async def attach(call: Call) -> Reply:
    """Join the streams of a running container."""
    _check_upgrade(call.request)
    return await _connect(call, "attach", _streams(call.request))


async def portforward(call: Call) -> Reply:
    """Carry connections to ports of a pod."""
    _check_upgrade(call.request)
    given = call.request.params("ports")
    pairs = [("port", port) for text in given for port in text.split(",")]
    return await _connect(call, "portForward", pairs)


def _streams(request: Request) -> list[tuple[str, str]]:
    """The streams asked for, as agents spell them."""
    asked = [name for name in _STREAMS if boolean(request, name)]
    if "tty" in asked and "stderr" in asked:
        asked.remove("stderr")
    if not any(name in asked for name in ("stdin", "stdout", "stderr")):
        raise bad_request("you must specify at least one of stdin, stdout, stderr")
    return [(_STREAMS[name], "1") for name in asked]


def _check_upgrade(request: Request) -> None:
    if not request.wants_upgrade:
        raise bad_request("Upgrade request required")


async def _connect(call: Call, what: str, pairs: list[tuple[str, str]]) -> Reply:
    pod = podtarget.find_pod(call)
    parts = [call.route.namespace, name_of(pod)]
    if what != "portForward":
        phase = (pod.get("status") or {}).get("phase")
        if phase in ("Succeeded", "Failed"):
            doing = "exec into" if what == "exec" else "attach to"
            raise bad_request(
                f"cannot {doing} a container in a completed pod; current phase is {phase}"
            )
        parts.append(podtarget.choose_container(pod, call.request.param("container")))
    node = podtarget.find_node(call, pod)
    target = f"/{what}/" + "/".join(quote(part, safe="") for part in parts)
    if pairs:
        target += f"?{urlencode(pairs)}"
    answer = await call.backend.kubelet.ask(node, call.request.method, target, _headers(call))
    if answer.status != 101:
        return await passed_on(answer)
    return Upgrade(_relay(answer), head=answer.raw)


def _headers(call: Call) -> dict[str, str]:
    passed = {
        name: value
        for name, value in call.request.headers.items()
        if name in _PASSED or name.startswith("sec-websocket-")
    }
    headers = {"Connection": "Upgrade", **passed}
    if call.request.method == "POST":
        headers["Content-Length"] = "0"
    return headers


def _relay(answer: AgentAnswer) -> Callable[[Duplex], Awaitable[None]]:
    async def run(duplex: Duplex) -> None:
        await agentwire.relay(duplex, answer)

    return run
