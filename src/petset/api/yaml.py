"""YAML bodies as JSON values. Imported late by `bodies`: PyYAML takes 20 ms.

Values are made from the parser's events, not by PyYAML's constructors: scalars resolve as in
Kubernetes' own decoder (times and base-60 numbers stay text, yes/no/on/off are booleans), every
alias becomes a copy of its own, and both depth and size are bounded.
"""

import math
import re
from collections.abc import Iterator
from typing import Any

import yaml
from yaml import events

from petset.api import errors
from petset.api.errors import StatusError

NODES_MAX = 300_000
"""Values that a document may have once its aliases are expanded."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_WHOLE = range(-(2**63), 2**64)
_INT = re.compile(r"[-+]?(0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)")
_FLOAT = re.compile(r"[-+]?([0-9][0-9_]*(\.[0-9_]*)?|\.[0-9][0-9_]*)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, bool | None] = {
    form: value
    for words, value in (("true yes on y", True), ("false no off n", False), ("null", None))
    for word in words.split()
    for form in (word, word.capitalize(), word.upper())
} | {"": None, "~": None}


def load(data: bytes, depth_max: int) -> tuple[Any, list[str]]:
    """The JSON value of a YAML document, and the paths of keys that come twice.

    Raises StatusError 400 for bad YAML, several documents, and too much depth or size.
    """
    try:
        reader = _Reader(yaml.parse(data, Loader=_LOADER), depth_max)
        return reader.document(), reader.duplicates
    except yaml.YAMLError as error:
        raise _malformed(_words(error)) from None


def _words(error: yaml.YAMLError) -> str:
    """The fault and its line as Kubernetes' decoder tells them: no line for the first one."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return " ".join(str(error).split())
    marks = (error.context_mark, error.problem_mark)
    line = next((mark.line for mark in marks if mark is not None and mark.line), 0)
    if line and isinstance(error, yaml.scanner.ScannerError):
        line += 1
    return f"line {line}: {error.problem}" if line else str(error.problem)


def _malformed(why: str) -> StatusError:
    return errors.bad_request(f"error converting YAML to JSON: yaml: {why}")


class _Reader:
    """Builds values while it reads the events of one document."""

    def __init__(self, stream: Iterator[events.Event], depth_max: int) -> None:
        self.stream = stream
        self.depth_max = depth_max
        self.anchors: dict[str, Any] = {}
        self.duplicates: list[str] = []
        self.nodes = 0

    def document(self) -> Any:
        value = None
        documents = 0
        for event in self.stream:
            if isinstance(event, events.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _malformed("more than one document")
                value = self.value(next(self.stream), "", 0)
        return value

    def value(self, event: Any, path: str, depth: int) -> Any:
        self.count(depth)
        match event:
            case events.AliasEvent():
                if event.anchor not in self.anchors:
                    raise _malformed(f"unknown anchor '{event.anchor}' referenced")
                return self.copy(self.anchors[event.anchor], depth)
            case events.ScalarEvent():
                made = _scalar(event)
            case events.SequenceStartEvent():
                made = self.sequence(path, depth)
            case _:
                made = self.mapping(path, depth)
        if event.anchor:
            self.anchors[event.anchor] = made
        return made

    def count(self, depth: int) -> None:
        self.nodes += 1
        if depth > self.depth_max:
            raise _malformed(f"nested deeper than {self.depth_max} levels")
        if self.nodes > NODES_MAX:
            raise _malformed("document contains excessive aliasing")

    def copy(self, value: Any, depth: int) -> Any:
        self.count(depth)
        if type(value) is dict:
            return {k: self.copy(v, depth + 1) for k, v in value.items()}
        if type(value) is list:
            return [self.copy(v, depth + 1) for v in value]
        return value

    def sequence(self, path: str, depth: int) -> list[Any]:
        made: list[Any] = []
        while not isinstance(event := next(self.stream), events.SequenceEndEvent):
            made.append(self.value(event, f"{path}[{len(made)}]", depth + 1))
        return made

    def mapping(self, path: str, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        merged: list[Any] = []
        while not isinstance(event := next(self.stream), events.MappingEndEvent):
            is_merge = type(event) is events.ScalarEvent and event.value == "<<" and not event.style
            key = _key(self.value(event, path, depth))
            where = f"{path}.{key}" if path else key
            value = self.value(next(self.stream), where, depth + 1)
            if is_merge:
                merged += value if type(value) is list else [value]
                continue
            if key in made:
                self.duplicates.append(where)
            made[key] = value
        for source in merged:
            if type(source) is not dict:
                raise _malformed("map merge requires map or sequence of maps as the value")
            made = {**source, **made}
        return made


def _key(value: Any) -> str:
    """A mapping's key as JSON has it."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case _:
            raise _malformed("a key is neither a string, a number nor a boolean")


def _scalar(event: events.ScalarEvent) -> Any:
    """What a scalar stands for: only plain ones can be anything but text."""
    tag, text = event.tag or "", event.value
    if tag in ("", "!") and event.implicit[0]:
        return _plain(text)
    if tag.endswith((":int", ":float", ":bool", ":null")):
        return _plain(text)
    return text


def _plain(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > 60:  # no number that JSON or any field could hold
        return text
    if _INT.fullmatch(text):
        return _integer(text.replace("_", ""))
    if _FLOAT.fullmatch(text):
        number = float(text.replace("_", ""))
        return number if math.isfinite(number) else text
    return text


def _integer(text: str) -> int | float:
    """A whole number; one beyond 64 bits is as inexact as JSON has it."""
    digits = text.lstrip("+-")
    octal = len(digits) > 1 and digits.isdecimal() and digits[0] == "0"
    number = int(digits, 8) if octal else int(digits, 0)
    number = -number if text[0] == "-" else number
    return number if number in _WHOLE else float(number)
