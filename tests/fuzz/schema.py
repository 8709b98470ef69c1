"""schemathesis over the server's OpenAPI documents: calls drawn from them, over real HTTP.

`python -m tests.fuzz.schema [DOCUMENT ...] [--seconds N] [--seed S]` for as long as asked. What is
looked for: an answer of 500, a content type or a status of success that the document does not have,
an answer that does not come.
"""

import argparse
import contextlib
import itertools
import os
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import orjson
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import content_type_conformance
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode

from petset.api import openapi
from tests.fuzz.api import HONEST, UPSTREAM

Case = schemathesis.Case[Any]
EXAMPLES = 4
"""Calls per operation and turn."""
ANSWER_S = 20.0
QUIET = {"dryRun", "fieldValidation", "fieldManager", "force", "resourceVersionMatch"}
"""Parameters of which a random value only says that it is wrong: mostly left out."""
V2 = "v2"
"""The one document of the older form; the others are called by their paths in the newer one."""
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)


@dataclass
class Report:
    """What came of the calls."""

    statuses: Counter[int] = field(default_factory=Counter)
    found: list[str] = field(default_factory=list)


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The address of a server in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fuzz.served"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def documents() -> list[str]:
    """The names of all documents."""
    return [V2, *sorted(openapi.hashes())]


class Caller:
    """Makes calls and looks at the answers."""

    def __init__(self, address: str, report: Report, number: int) -> None:
        self._address = address
        self._session = requests.Session()
        self._report = report
        self._rng = Random(number)

    def close(self) -> None:
        self._session.close()

    def call(self, case: Case) -> None:
        """Make a call that has been drawn, a little tamer, and look at the answer."""
        for name in QUIET & set(case.query or {}):
            if self._rng.random() < 0.8:
                del case.query[name]
        for name, usual in (("namespace", "default"), ("name", "x")):
            if name in (case.path_parameters or {}) and self._rng.random() < 0.7:
                case.path_parameters[name] = usual
        if isinstance(case.body, dict) and self._rng.random() < 0.7:
            meta = case.body.get("metadata")
            if isinstance(meta, dict):
                meta.pop("resourceVersion", None)
                meta |= {"name": "x", "namespace": "default"}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                answer = case.call(base_url=self._address, session=self._session, timeout=ANSWER_S)
        except requests.exceptions.Timeout:
            self._report.found.append(f"no answer: {case.as_curl_command()[:500]}")
            return
        except (UnicodeError, requests.exceptions.InvalidURL):
            return  # nothing that HTTP could carry
        self._look(case, answer)

    def _look(self, case: Case, answer: schemathesis.Response) -> None:
        status = answer.status_code
        self._report.statuses[status] += 1
        fault = self._fault(case, answer)
        if fault:
            told = f"{fault}: {status} {answer.content[:300]!r} for {case.as_curl_command()[:700]}"
            self._report.found.append(told)

    def _fault(self, case: Case, answer: schemathesis.Response) -> str:
        status = answer.status_code
        if status >= 500:
            fine = status in HONEST or any(u in answer.content for u in UPSTREAM)
            return "" if fine else "a server's error"
        if status >= 400:
            return ""
        if str(status) not in case.operation.definition.raw["responses"]:
            return "a status that is not documented"
        try:
            case.validate_response(answer, checks=[content_type_conformance])
        except AssertionError as error:
            return f"a content type that is not documented ({error})"
        return ""


def _play(operation: Any, caller: Caller, mode: GenerationMode, number: int) -> None:
    @seed(number)
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def one(case: Case) -> None:
        caller.call(case)

    with contextlib.suppress(Unsatisfiable):  # there may be no way to call it wrongly
        one()


def run(address: str, names: list[str], *, number: int, seconds: float) -> Report:
    """Play operations of the documents `names` in random order, for so long once they are read."""
    report = Report()
    caller = Caller(address, report, number)
    config = schemathesis.Config.from_dict({})
    with contextlib.closing(caller), requests.Session() as session:
        operations = []
        for name in names:
            where = V2 if name == V2 else f"v3/{name}"
            answer = session.get(f"{address}/openapi/{where}", timeout=ANSWER_S)
            document = orjson.loads(answer.content)
            loaded = schemathesis.openapi.from_dict(document, config=config)
            found = loaded.get_all_operations()
            operations += [one.ok() for one in found if isinstance(one, Ok)]
        until_s = time.monotonic() + seconds
        for turn in itertools.count(number):
            Random(turn).shuffle(operations)
            for operation, mode in itertools.product(operations, MODES):
                if time.monotonic() > until_s:
                    return report
                with contextlib.suppress(schemathesis.errors.SchemathesisError):
                    _play(operation, caller, mode, turn)
    raise AssertionError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.schema", description=__doc__)
    parser.add_argument("documents", nargs="*", help="v2, api/v1, apis/apps/v1, ... (all)")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=1)
    given_ = parser.parse_args()
    with server() as address:
        names = given_.documents or documents()
        report = run(address, names, number=given_.seed, seconds=given_.seconds)
    print(dict(sorted(report.statuses.items())))
    for line in dict.fromkeys(report.found):
        print(f"FOUND {line}")
    return 1 if report.found else 0


if __name__ == "__main__":
    sys.exit(main())
