"""The spec of a Job, also inside a CronJob: defaults and validation."""

import re

from petset.api.batch.v1 import jobpolicy
from petset.api.check import INT32_MAX, Faults, child, fill, non_negative, number, text
from petset.api.core.v1 import podspec
from petset.api.errors import invalid, not_supported, required, too_long
from petset.api.meta import MutableObj, Obj
from petset.api.names import dns_subdomain
from petset.api.podtemplate import default_in, template_faults

MODES = ("NonIndexed", "Indexed")
ENDING_POLICIES = ("OnFailure", "Never")
PARALLELISM_MAX = 100_000
FAILED_INDEXES_MAX = 100_000
MANY_COMPLETIONS = 100_000
PARALLELISM_MAX_OF_MANY = 10_000
FAILED_INDEXES_MAX_OF_MANY = 10_000
MANAGED_BY_MAX = 63
_PATH = re.compile(r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+")


def default(spec: MutableObj) -> None:
    """Defaults of a job's spec."""
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    fill(spec, "parallelism", 1)
    per_index = spec.get("backoffLimitPerIndex") is not None
    fill(spec, "backoffLimit", INT32_MAX if per_index else 6)
    fill(spec, "completionMode", "NonIndexed")
    fill(spec, "suspend", False)
    fill(
        spec,
        "podReplacementPolicy",
        "TerminatingOrFailed" if spec.get("podFailurePolicy") is None else "Failed",
    )
    default_in(spec)
    jobpolicy.default(child(spec, "podFailurePolicy"))


def is_indexed(spec: Obj) -> bool:
    """Whether every completion has an index of its own."""
    return spec.get("completionMode") == "Indexed"


def faults(path: str, spec: Obj) -> Faults:
    """Every fault of a job's spec but for the selector."""
    for key in (
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ):
        yield from non_negative(f"{path}.{key}", spec.get(key))
    if spec.get("maxFailedIndexes") is not None and spec.get("backoffLimitPerIndex") is None:
        yield required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified")
    if spec.get("managedBy") is not None:
        yield from _manager_faults(f"{path}.managedBy", text(spec["managedBy"]))
    mode = spec.get("completionMode")
    if mode is not None and mode not in MODES:
        yield not_supported(f"{path}.completionMode", mode, MODES)
    if is_indexed(spec):
        yield from _indexed_faults(path, spec)
    elif mode in (None, "NonIndexed"):
        for key in ("backoffLimitPerIndex", "maxFailedIndexes"):
            if spec.get(key) is not None:
                yield invalid(f"{path}.{key}", spec[key], "requires indexed completion mode")
    yield from jobpolicy.failure_faults(f"{path}.podFailurePolicy", spec)
    yield from jobpolicy.success_faults(f"{path}.successPolicy", spec)
    yield from _replacement_faults(f"{path}.podReplacementPolicy", spec)
    yield from template_faults(f"{path}.template", child(spec, "template"))
    yield from _restart_faults(f"{path}.template.spec.restartPolicy", spec)


def _manager_faults(path: str, manager: str) -> Faults:
    """Who looks after the job: `domain/path`."""
    domain, slash, rest = manager.partition("/")
    if not manager:
        yield required(path)
    elif not slash or not domain or not rest:
        words = 'must be a domain-prefixed path (such as "acme.io/foo")'
        yield invalid(path, manager, words)
    else:
        for fault in dns_subdomain(domain):
            yield invalid(path, domain, fault)
        if not _PATH.fullmatch(rest):
            yield invalid(
                path, rest, f"Invalid path (regex used for validation is '{_PATH.pattern}')"
            )
    if len(manager) > MANAGED_BY_MAX:
        yield too_long(path, MANAGED_BY_MAX)


def _indexed_faults(path: str, spec: Obj) -> Faults:
    completions, most = spec.get("completions"), spec.get("maxFailedIndexes")
    parallelism = number(spec.get("parallelism"))
    if completions is None:
        yield required(f"{path}.completions", "when completion mode is Indexed")
    if parallelism > PARALLELISM_MAX:
        words = f"must be less than or equal to {PARALLELISM_MAX} when completion mode is Indexed"
        yield invalid(f"{path}.parallelism", parallelism, words)
    if completions is not None and most is not None and most > completions:
        words = "must be less than or equal to completions"
        yield invalid(f"{path}.maxFailedIndexes", most, words)
    if most is not None and most > FAILED_INDEXES_MAX:
        words = f"must be less than or equal to {FAILED_INDEXES_MAX}"
        yield invalid(f"{path}.maxFailedIndexes", most, words)
    many = number(completions) > MANY_COMPLETIONS
    if many and spec.get("backoffLimitPerIndex") is not None:
        yield from _many_faults(path, parallelism, most)


def _many_faults(path: str, parallelism: int, most: int | None) -> Faults:
    """Bounds where so many indexes must be kept apart that the status could grow too large."""
    if most is None:
        words = f"must be specified when completions is above {MANY_COMPLETIONS}"
        yield required(f"{path}.maxFailedIndexes", words)
    bounds = (
        ("parallelism", parallelism, PARALLELISM_MAX_OF_MANY),
        ("maxFailedIndexes", most or 0, FAILED_INDEXES_MAX_OF_MANY),
    )
    for key, value, bound in bounds:
        if value > bound:
            words = (
                f"must be less than or equal to {bound} when completions are above "
                f"{MANY_COMPLETIONS} and used with backoff limit per index"
            )
            yield invalid(f"{path}.{key}", value, words)


def _replacement_faults(path: str, spec: Obj) -> Faults:
    policy, judged = spec.get("podReplacementPolicy"), spec.get("podFailurePolicy") is not None
    allowed = ("Failed",) if judged else ("Failed", "TerminatingOrFailed")
    if policy is not None and policy not in allowed:
        yield not_supported(path, policy, allowed)


def _restart_faults(path: str, spec: Obj) -> Faults:
    policy = child(spec, "template", "spec").get("restartPolicy")
    if policy in (None, "", "Always"):
        yield required(path, 'valid values: "OnFailure", "Never"')
    elif policy not in podspec.RESTART_POLICIES:
        yield not_supported(path, policy, ENDING_POLICIES)
    elif spec.get("podFailurePolicy") is not None and policy != "Never":
        yield invalid(path, policy, 'only "Never" is supported when podFailurePolicy is specified')
