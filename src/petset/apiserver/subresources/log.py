"""pods/log: what a container has written, from the agent of its node."""

from collections.abc import Awaitable, Callable
from urllib.parse import quote, urlencode

from petset.api.errors import (
    FieldError,
    StatusError,
    bad_request,
    internal,
    invalid,
    invalid_object,
)
from petset.api.meta import Obj, name_of, parse_time
from petset.apiserver.agentwire import AgentAnswer, AgentError
from petset.apiserver.call import Call
from petset.apiserver.subresources import podtarget
from petset.apiserver.verbs.listing import boolean, integer
from petset.base.http import Reply, Request, Response, Stream, Writer

TEXT = (("Content-Type", "text/plain"),)
ERROR_MAX = 64 * 1024
_STATUSES = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
_REASONS = {
    400: "BadRequest",
    403: "Forbidden",
    404: "NotFound",
    501: "NotImplemented",
    503: "ServiceUnavailable",
}
_PULLING = {
    "ErrImagePull": "image can't be pulled",
    "ImagePullBackOff": "trying and failing to pull image",
    "ErrImagePullBackOff": "trying and failing to pull image",
}


async def log(call: Call) -> Reply:
    """Answer with a container's log; with follow=true as it grows."""
    pod = podtarget.find_pod(call)
    options = log_options(call.request, name_of(pod))
    container = podtarget.choose_container(pod, call.request.param("container"))
    if not (pod.get("spec") or {}).get("nodeName"):
        return Response(200, TEXT, b"")
    check_started(pod, container, previous=options.get("previous") == "true")
    node = podtarget.find_node(call, pod)
    where = "/".join(quote(p, safe="") for p in (call.route.namespace, name_of(pod), container))
    target = f"/containerLogs/{where}" + (f"?{urlencode(options)}" if options else "")
    answer = await call.backend.kubelet.ask(node, "GET", target, {"Accept": "*/*"})
    if answer.status != 200:
        return await passed_on(answer)
    return Stream(_copier(answer), headers=TEXT)


async def passed_on(answer: AgentAnswer) -> Response:
    """An agent's refusal: a Status as it is, plain words made into one."""
    try:
        body = await answer.body(ERROR_MAX)
    except AgentError as error:
        body = str(error).encode()
    finally:
        await answer.close()
    kind = answer.headers.get("content-type", "text/plain")
    if kind.startswith("application/json"):
        return Response(answer.status, (("Content-Type", kind),), body)
    words = body.decode(errors="replace").strip() or f"the agent answered {answer.status}"
    if answer.status == 500:
        raise internal(words)
    raise StatusError(answer.status, _REASONS.get(answer.status, ""), words)


def _copier(answer: AgentAnswer) -> Callable[[Writer], Awaitable[None]]:
    async def run(writer: Writer) -> None:
        try:
            async for piece in answer.pieces():
                writer.write(piece)
                await writer.drain()
                if writer.closed:
                    return
        finally:
            await answer.close()

    return run


def log_options(request: Request, pod: str) -> dict[str, str]:
    """The options of a log request, checked, as the agent takes them.

    Raises StatusError 400 and 422.
    """
    options = {
        name: "true" for name in ("follow", "previous", "timestamps") if boolean(request, name)
    }
    faults: list[FieldError] = []
    for name, least in (("tailLines", 0), ("limitBytes", 1), ("sinceSeconds", 1)):
        if text := request.param(name):
            options[name] = text
            faults += _number_faults(name, text, least)
    if since := request.param("sinceTime"):
        options["sinceTime"] = since
        if parse_time(since) is None:
            raise bad_request(f"sinceTime: {since!r} is not an RFC 3339 time")
        if "sinceSeconds" in options:
            why = "at most one of `sinceTime` or `sinceSeconds` may be specified"
            faults.append(FieldError("", "FieldValueForbidden", f"Forbidden: {why}"))
    if faults:
        raise invalid_object("", "PodLogOptions", pod, faults)
    return options


def _number_faults(name: str, text: str, least: int) -> list[FieldError]:
    value = integer(text)
    if value >= least:
        return []
    word = "greater than or equal to 0" if least == 0 else "greater than 0"
    return [invalid(name, value, f"must be {word}")]


def check_started(pod: Obj, container: str, *, previous: bool) -> None:
    """Raise StatusError 400 where there can be no log (yet), in upstream's words."""
    name = name_of(pod)
    where = f'container "{container}" in pod "{name}"'
    status = _status_of(pod, container)
    last = ((status or {}).get("lastState") or {}).get("terminated")
    if previous:
        if last is None:
            raise bad_request(f"previous terminated {where} not found")
        return
    if status is None:
        if (pod.get("status") or {}).get("phase") in (None, "Pending"):
            raise bad_request(f"{where} is waiting to start: ContainerCreating")
        return
    state = status.get("state") or {}
    if "running" in state or "terminated" in state or last is not None:
        return
    reason = (state.get("waiting") or {}).get("reason") or "ContainerCreating"
    raise bad_request(f"{where} is waiting to start: {_PULLING.get(reason, reason)}")


def _status_of(pod: Obj, container: str) -> Obj | None:
    status = pod.get("status") or {}
    for key in _STATUSES:
        for found in status.get(key) or ():
            if found.get("name") == container:
                result: Obj = found
                return result
    return None
