"""Probes and lifecycle hooks: defaults and validation."""

from petset.api import names
from petset.api.check import (
    Faults,
    child,
    fill,
    fill_number,
    items,
    member,
    non_negative,
    one_of,
    optional,
    port_number,
    positive,
    text,
    worded,
)
from petset.api.errors import forbidden_field, invalid, not_supported, required
from petset.api.meta import MutableObj, Obj

PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
_HOOKS = ("exec", "httpGet", "tcpSocket", "sleep")
_NUMBERED = (
    *("RTMAX", *(f"RTMAX-{i}" for i in range(1, 15))),
    *("RTMIN", *(f"RTMIN+{i}" for i in range(1, 16))),
)
_NAMED = (
    *("ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT"),
    *("KILL", "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM"),
    *("TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ"),
)
SIGNALS = tuple(sorted(f"SIG{name}" for name in (*_NAMED, *_NUMBERED)))
"""Signals that can stop a container."""


def default_probe(probe: MutableObj) -> None:
    """Timings, where 0 counts as unset, and the handler."""
    fill_number(probe, "timeoutSeconds", 1)
    fill_number(probe, "periodSeconds", 10)
    fill_number(probe, "successThreshold", 1)
    fill_number(probe, "failureThreshold", 3)
    _default_handler(probe)
    if isinstance(probe.get("grpc"), dict):
        probe["grpc"].setdefault("service", "")


def default_lifecycle(lifecycle: MutableObj) -> None:
    """The handlers of postStart and preStop."""
    for hook in ("postStart", "preStop"):
        if isinstance(lifecycle.get(hook), dict):
            _default_handler(lifecycle[hook])


def _default_handler(handler: MutableObj) -> None:
    if isinstance(handler.get("httpGet"), dict):
        get = member(handler, "httpGet")
        fill(get, "path", "/")
        fill(get, "scheme", "HTTP")


def probe_faults(path: str, name: str, probe: Obj) -> Faults:
    """Every fault of one of a container's probes; `name` says which."""
    yield from _handler_faults(path, probe, _HANDLERS)
    for key in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds"):
        yield from non_negative(f"{path}.{key}", probe.get(key))
    for key in ("successThreshold", "failureThreshold"):
        yield from non_negative(f"{path}.{key}", probe.get(key))
    grace, where = (
        probe.get("terminationGracePeriodSeconds"),
        f"{path}.terminationGracePeriodSeconds",
    )
    yield from positive(where, grace)
    if name == "readinessProbe":
        if grace is not None:
            yield invalid(where, grace, "must not be set for readinessProbes")
    elif probe.get("successThreshold") not in (None, 0, 1):
        yield invalid(f"{path}.successThreshold", probe["successThreshold"], "must be 1")


def lifecycle_faults(path: str, lifecycle: Obj, grace_s: int | None, system: str) -> Faults:
    """Every fault of a container's lifecycle.

    `grace_s` bounds a sleep; a signal's name needs the pod's operating system, `system`.
    """
    for hook in ("postStart", "preStop"):
        if lifecycle.get(hook) is not None:
            handler, where = child(lifecycle, hook), f"{path}.{hook}"
            yield from _handler_faults(where, handler, _HOOKS)
            if handler.get("sleep") is not None:
                yield from _sleep_faults(f"{where}.sleep", child(handler, "sleep"), grace_s)
    signal, where = lifecycle.get("stopSignal"), f"{path}.stopSignal"
    if signal is None:
        return
    if not system:
        yield forbidden_field(where, "may not be set for containers with empty `spec.os.name`")
    elif system == "windows" and signal not in ("SIGKILL", "SIGTERM"):
        yield not_supported(where, signal, ("SIGKILL", "SIGTERM"))
    elif signal not in SIGNALS:
        yield not_supported(where, signal, SIGNALS)


def _sleep_faults(path: str, sleep: Obj, grace_s: int | None) -> Faults:
    seconds = sleep.get("seconds") or 0
    if grace_s is not None and not 0 <= seconds <= grace_s:
        yield invalid(
            path,
            seconds,
            f"must be non-negative and less than terminationGracePeriodSeconds ({grace_s})",
        )


def _handler_faults(path: str, handler: Obj, kinds: tuple[str, ...]) -> Faults:
    given = [kind for kind in kinds if handler.get(kind) is not None]
    if not given:
        yield required(path, "must specify a handler type")
    for kind in given[:1]:
        where, value = f"{path}.{kind}", child(handler, kind)
        if kind == "exec" and not items(value, "command"):
            yield required(f"{where}.command")
        elif kind == "httpGet":
            yield from _http_faults(where, value)
        elif kind == "tcpSocket":
            yield from _port_faults(f"{where}.port", value.get("port"))
        elif kind == "grpc":
            yield from port_number(f"{where}.port", value.get("port", 0))
    for kind in given[1:]:
        yield forbidden_field(f"{path}.{kind}", "may not specify more than 1 handler type")


def _http_faults(path: str, get: Obj) -> Faults:
    if not get.get("path"):
        yield required(f"{path}.path")
    yield from _port_faults(f"{path}.port", get.get("port"))
    yield from one_of(f"{path}.scheme", get.get("scheme"), ("HTTP", "HTTPS"))
    for header in items(get, "httpHeaders"):  # told at the list, as upstream does
        name = text(header.get("name"))
        yield from worded(f"{path}.httpHeaders", name, names.header_name(name))


def _port_faults(path: str, port: object) -> Faults:
    if isinstance(port, str) and port:
        yield from optional(path, port, names.port_name)
    else:
        yield from port_number(path, port or 0)
