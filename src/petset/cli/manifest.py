"""Manifests for `petset apply`: reading them, and what to change on the server.

The comparison is kubectl's client-side apply in its plain form: last-applied annotation, manifest
and live object give one merge patch. A list is sent whole when it differs.
"""

import contextlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from petset.api import yaml
from petset.api.errors import StatusError
from petset.cli.failure import Failure

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_OWN = {LAST_APPLIED}
_ABSENT = object()
_SEPARATOR = re.compile(r"^---[^\n]*$", re.MULTILINE)
_DEPTH_MAX = 100


def read(sources: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Every object in the given files and directories; "-" is standard input.

    All of them are read before the first is handed out: a broken one spoils no half of an apply.
    """
    texts = [text for source in sources for text in _texts(source)]
    yield from [
        obj for name, text in texts for doc in _documents(name, text) for obj in _objects(name, doc)
    ]


def _documents(name: str, text: str) -> Iterator[Any]:
    if text.lstrip().startswith("{"):
        with contextlib.suppress(orjson.JSONDecodeError):
            yield orjson.loads(text)
            return
    for part in _SEPARATOR.split(text):
        if not part.strip():
            continue
        try:
            document, twice = yaml.load(part.encode(), _DEPTH_MAX)
        except StatusError as error:
            raise Failure(f"{name} is no readable YAML: {error.message}") from error
        if twice:
            raise Failure(f"{name} is no readable YAML: {twice[0]} is given twice")
        yield document


def _texts(source: str) -> Iterator[tuple[str, str]]:
    if source == "-":
        yield "standard input", sys.stdin.read()
        return
    path = Path(source)
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix in {".yaml", ".yml", ".json"})
        if not files:
            raise Failure(f"no .yaml, .yml or .json file in {path}")
    else:
        files = [path]
    for file in files:
        try:
            yield str(file), file.read_text()
        except OSError as error:
            raise Failure(f"{file}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise Failure(f"{file} is no text in UTF-8") from error


def _objects(name: str, document: Any) -> Iterator[dict[str, Any]]:
    if document is None:
        return
    if not isinstance(document, dict) or "kind" not in document or "apiVersion" not in document:
        raise Failure(f"{name}: an object without kind or apiVersion")
    if not isinstance(document["kind"], str) or not isinstance(document["apiVersion"], str):
        raise Failure(f"{name}: kind and apiVersion have to be text")
    if document["kind"].endswith("List") and isinstance(document.get("items"), list):
        for item in document["items"]:
            yield from _objects(name, item)
    else:
        yield document


def with_annotation(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest with itself as the last-applied annotation."""
    plain = _plain(manifest)
    text = orjson.dumps(plain, option=orjson.OPT_SORT_KEYS).decode() + "\n"
    annotations = {**plain["metadata"]["annotations"], LAST_APPLIED: text}
    return {**plain, "metadata": {**plain["metadata"], "annotations": annotations}}


def _plain(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest as kubectl notes it: with annotations, be they empty."""
    meta = dict(manifest.get("metadata") or {})
    return {**manifest, "metadata": {**meta, "annotations": dict(meta.get("annotations") or {})}}


def patch(manifest: Mapping[str, Any], live: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch (RFC 7386) that brings `live` to the manifest; empty when nothing differs."""
    annotations = (live.get("metadata") or {}).get("annotations") or {}
    try:
        before = orjson.loads(annotations.get(LAST_APPLIED) or "{}")
    except orjson.JSONDecodeError:
        before = {}
    wanted = with_annotation(manifest)
    changes = _difference(wanted, live)
    for key in ("apiVersion", "kind"):
        changes.pop(key, None)
    _merge(changes, _removed(before, _plain(manifest), live))
    if before == _plain(manifest) and not _besides_annotation(changes):
        return {}
    return changes


def _besides_annotation(changes: Mapping[str, Any]) -> bool:
    meta = changes.get("metadata") or {}
    notes = meta.get("annotations") or {}
    return bool(set(changes) - {"metadata"} or set(meta) - {"annotations"} or set(notes) - _OWN)


def _difference(wanted: Mapping[str, Any], live: Mapping[str, Any]) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for key, value in wanted.items():
        present = live.get(key, _ABSENT)
        if isinstance(value, dict) and isinstance(present, dict):
            if inner := _difference(value, present):
                changes[key] = inner
        elif value is not None and not _covers(present, value):
            changes[key] = value
    return changes


def _covers(live: Any, wanted: Any) -> bool:
    """Whether `live` holds all that `wanted` says (defaults may have been added)."""
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(
            value is None or _covers(live.get(key, _ABSENT), value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(live, list)
            and len(live) == len(wanted)
            and all(_covers(a, b) for a, b in zip(live, wanted, strict=True))
        )
    return bool(live == wanted)


def _removed(before: Any, manifest: Any, live: Any) -> dict[str, Any]:
    """Nulls for what was applied before, is not in the manifest any more and still lives."""
    changes: dict[str, Any] = {}
    for key, value in before.items():
        if key not in manifest:
            if key in live:
                changes[key] = None
        elif all(isinstance(x, dict) for x in (value, manifest[key], live.get(key))) and (
            inner := _removed(value, manifest[key], live[key])
        ):
            changes[key] = inner
    return changes


def _merge(into: dict[str, Any], extra: Mapping[str, Any]) -> None:
    for key, value in extra.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value
