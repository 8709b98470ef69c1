"""What kubectl itself makes of two versions of a file leads to what the second alone would give.

kubectl computes strategic merge patches from the file, its last-applied annotation and the live
object. PETSET_PATCH_PAIRS sets the number of pairs (default 60), PETSET_PATCH_SEED the seed.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.cluster import Kubectl
from tests.conformance.pairs import Dice, Obj, pairs

COUNT = int(os.environ.get("PETSET_PATCH_PAIRS", "60"))
SEED = int(os.environ.get("PETSET_PATCH_SEED", "0")) or time.time_ns()
KINDS = (
    "deployments,statefulsets,services,configmaps,secrets,serviceaccounts,"
    "poddisruptionbudgets,cronjobs,networkpolicies,roles"
)
LAST = "kubectl.kubernetes.io/last-applied-configuration"
OWN = ("uid", "resourceVersion", "creationTimestamp", "generation", "namespace", "managedFields")
CLIENT, SERVER = ("apply",), ("apply", "--server-side", "--force-conflicts")


def write(path: Path, objs: list[Obj]) -> str:
    path.write_text(json.dumps({"kind": "List", "apiVersion": "v1", "items": objs}))
    return str(path)


def settled(obj: Any) -> Any:
    """An object without what differs between any two."""
    meta = {k: v for k, v in obj["metadata"].items() if k not in OWN}
    notes = {k: v for k, v in meta.pop("annotations", {}).items() if k != LAST}
    return {**obj, "metadata": {**meta, **({"annotations": notes} if notes else {})}}


def differences(a: Any, b: Any, path: str) -> list[str]:
    """Where two objects differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        keys = sorted(a.keys() | b.keys())
        return [d for k in keys for d in differences(a.get(k), b.get(k), f"{path}.{k}")]
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        both = enumerate(zip(a, b, strict=True))
        return [d for i, (x, y) in both for d in differences(x, y, f"{path}[{i}]")]
    return [] if a == b else [f"{path}: {json.dumps(a)} instead of {json.dumps(b)}"]


async def found(kubectl: Kubectl, namespace: str) -> dict[tuple[str, str], Any]:
    listed = (await kubectl.run("get", KINDS, "-n", namespace, "-o", "json")).json
    return {(o["kind"], o["metadata"]["name"]): settled(o) for o in listed["items"]}


async def versions(kubectl: Kubectl, namespace: str) -> str:
    jsonpath = "jsonpath={range .items[*]}{.kind} {.metadata.name} {.metadata.resourceVersion}\n"
    return (await kubectl.run("get", KINDS, "-n", namespace, "-o", jsonpath + "{end}")).out


@pytest.mark.parametrize(
    ("before", "after"),
    [([CLIENT], CLIENT), ([SERVER], SERVER), ([CLIENT, SERVER], SERVER)],
    ids=["client side", "server side", "from client side to server side"],
)
@pytest.mark.timeout(60 + COUNT)
async def test_the_second_version_is_what_a_fresh_apply_gives(
    newest: Kubectl, tmp_path: Path, before: list[tuple[str, ...]], after: tuple[str, ...]
) -> None:
    dice = Dice(SEED)
    dice.swaps = after == CLIENT
    made = pairs(dice, COUNT)
    old = write(tmp_path / "old.json", [o for o, _ in made])
    new = write(tmp_path / "new.json", [n for _, n in made])
    for namespace in ("changed", "fresh"):
        await newest.run("create", "namespace", namespace)
    for words in before:
        await newest.run(*words, "-n", "changed", "-f", old)
    changing = await newest.run(*after, "-n", "changed", "-f", new)
    await newest.run(*after, "-n", "fresh", "-f", new)
    changed, fresh = await found(newest, "changed"), await found(newest, "fresh")
    assert len(fresh) >= COUNT
    assert changed.keys() == fresh.keys()
    wrong = [line for key, obj in fresh.items() for line in differences(changed[key], obj, key[1])]
    assert not wrong, "\n".join([f"seed {SEED}", *wrong])
    if after == CLIENT:
        assert " configured" in changing.out
    before_again = await versions(newest, "changed")
    await newest.run(*after, "-n", "changed", "-f", new)
    assert await versions(newest, "changed") == before_again
