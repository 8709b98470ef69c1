"""Options of writes: dryRun, fieldValidation, fieldManager, and those of deletions."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from petset.api.errors import (
    FieldError,
    bad_request,
    forbidden_field,
    invalid,
    invalid_object,
    not_supported,
    required,
    too_long,
)
from petset.apiserver import body
from petset.apiserver.call import Call
from petset.apiserver.verbs.listing import boolean, integer

VALIDATIONS = ("Ignore", "Warn", "Strict")
POLICIES = ("Orphan", "Background", "Foreground")
MANAGER_MAX = 128
AGENT_MAX = 256
"""User-Agents up to this length are remembered."""


def read_write_options(call: Call, kind: str, *, applies: bool = False) -> None:
    """Take dryRun, fieldValidation, fieldManager and force in. `kind`: CreateOptions, ...

    `applies`: of a server-side apply, which must name its manager and may be forced. Raises
    StatusError 422 for values that do not exist.
    """
    request = call.request
    if not request.query and not applies:
        call.manager = _of_agent(call.agent)
        return
    faults = _dry_run_faults(request.params("dryRun"))
    call.dry_run = bool(request.param("dryRun"))
    call.validation = request.param("fieldValidation") or "Warn"
    if call.validation not in VALIDATIONS:
        faults.append(not_supported("fieldValidation", call.validation, VALIDATIONS))
    manager = request.param("fieldManager")
    call.manager = manager or _of_agent(call.agent)
    if applies:
        call.force = boolean(request, "force")
    if applies and not manager:
        faults.append(required("fieldManager", "is required for apply patch"))
    if len(manager.encode()) > MANAGER_MAX:
        faults.append(too_long("fieldManager", MANAGER_MAX))
    if not manager.isprintable():
        faults.append(invalid("fieldManager", manager, "should only contain printable characters"))
    if kind == "PatchOptions" and request.param("force") and not applies:
        why = "may not be specified for non-apply patch"
        faults.append(forbidden_field("force", why))
    if faults:
        raise invalid_object("meta.k8s.io", kind, "", faults)


def _of_agent(agent: str) -> str:
    """The manager of a request that names none: the first word of its User-Agent."""
    first_word = _first_word if len(agent) <= AGENT_MAX else _first_word.__wrapped__
    return first_word(agent)


@functools.lru_cache(maxsize=128)
def _first_word(agent: str) -> str:
    word = "".join(c for c in agent.partition("/")[0] if c.isprintable())
    return word.encode()[:MANAGER_MAX].decode(errors="ignore") or "unknown"


def _dry_run_faults(given: Sequence[str]) -> list[FieldError]:
    bad = [text for text in given if text != "All"]
    return [not_supported("dryRun", list(given), ["All"])] if bad else []


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """Options of a deletion.

    Attributes:
        grace_s: gracePeriodSeconds, None if not given.
        policy: Orphan, Background, Foreground, or "" if not given.
        uid, revision: preconditions, "" if not given.
    """

    grace_s: int | None = None
    policy: str = ""
    uid: str = ""
    revision: str = ""
    dry_run: bool = False
    orphan: bool | None = field(default=None)


def read_delete_options(call: Call) -> DeleteOptions:
    """The options of a deletion: from the body if there is one, else from the query.

    Raises StatusError 400 and 422.
    """
    given = body.read_options(call) if call.request.body else {}
    options = delete_options(given) if given else _of_query(call)
    if call.request.param("dryRun") and not options.dry_run:
        _refuse(_dry_run_faults(call.request.params("dryRun")))
        call.dry_run = True
    else:
        call.dry_run = options.dry_run
    return options


def delete_options(given: Mapping[str, Any]) -> DeleteOptions:
    """The options of a DeleteOptions object. Raises StatusError 400 and 422."""
    kind = given.get("kind")
    if kind not in (None, "", "DeleteOptions"):
        raise bad_request(f"expected DeleteOptions, got {kind}")
    grace, policy = given.get("gracePeriodSeconds"), given.get("propagationPolicy") or ""
    conditions = given.get("preconditions") or {}
    orphan = given.get("orphanDependents")
    if grace is not None and (not isinstance(grace, int) or isinstance(grace, bool)):
        raise bad_request("gracePeriodSeconds must be a number")
    dry_run = given.get("dryRun") or []
    faults = _dry_run_faults(dry_run)
    if policy and policy not in POLICIES:
        faults.append(not_supported("propagationPolicy", policy, POLICIES))
    if policy and orphan is not None:
        why = "orphanDependents and deletionPropagation cannot be both set"
        faults.append(invalid("propagationPolicy", policy, why))
    _refuse(faults)
    return DeleteOptions(
        grace_s=grace,
        policy=policy,
        uid=conditions.get("uid") or "",
        revision=conditions.get("resourceVersion") or "",
        dry_run=bool(dry_run),
        orphan=orphan,
    )


def _of_query(call: Call) -> DeleteOptions:
    request = call.request
    given: dict[str, Any] = {"dryRun": request.params("dryRun")}
    if text := request.param("gracePeriodSeconds"):
        given["gracePeriodSeconds"] = integer(text, " (query parameter gracePeriodSeconds)")
    if text := request.param("propagationPolicy"):
        given["propagationPolicy"] = text
    if request.param("orphanDependents"):
        given["orphanDependents"] = boolean(request, "orphanDependents")
    return delete_options(given)


def _refuse(faults: Sequence[FieldError]) -> None:
    if faults:
        raise invalid_object("meta.k8s.io", "DeleteOptions", "", faults)
