"""The main job of petset on real containers, step by step, as a person would type it.

Run by `make demo`. Uses a cluster of its own named `demo`, and leaves it running.
"""

import asyncio
import contextlib
import io
import shlex
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from petset.api import meta
from petset.cli import main as command
from petset.cli import thin
from petset.cli.failure import Failure
from petset.client.client import Client

NAME = "demo"
MANIFEST = "examples/01-web/web.yaml"
DATA = "/usr/share/nginx/html/data"
BOLD, DIM, GREEN, PLAIN = (
    ("\033[1m", "\033[2m", "\033[32m", "\033[0m") if sys.stdout.isatty() else ("", "", "", "")
)
Pods = Mapping[str, Mapping[str, Any]]


def title(text: str) -> None:
    """Begin a step."""
    print(f"\n{BOLD}== {text}{PLAIN}", flush=True)


def petset(*words: str, quiet: bool = False) -> str:
    """Show a petset command and run it, in this process; returns what it printed."""
    shown = shlex.join(words)
    if not quiet:
        print(f"{DIM}${PLAIN} petset {shown}", flush=True)
    output = io.StringIO()
    with contextlib.redirect_stdout(_Tee(output, None if quiet else sys.stdout)):
        code = command.run([*words, "--name", NAME] if "--" not in words else _named(words))
    if code:
        raise Failure(f"the demo stopped: petset {shown} ended with exit code {code}")
    return output.getvalue()


def _named(words: Sequence[str]) -> list[str]:
    at = words.index("--")
    return [*words[:at], "--name", NAME, *words[at:]]


class _Tee(io.TextIOBase):
    def __init__(self, copy: io.StringIO, shown: Any) -> None:
        self._copy, self._shown = copy, shown
        self.buffer = _Bytes(self)

    def write(self, text: str) -> int:
        self._copy.write(text)
        if self._shown is not None:
            self._shown.write(text)
            self._shown.flush()
        return len(text)


class _Bytes:
    def __init__(self, tee: _Tee) -> None:
        self._tee = tee

    def write(self, data: bytes) -> int:
        return self._tee.write(data.decode(errors="replace"))

    def flush(self) -> None:
        """Nothing is held back."""


class Watcher:
    """Shows what happens to the pods of the set, and counts living pods by ordinal."""

    def __init__(self) -> None:
        self.pods: dict[str, Mapping[str, Any]] = {}
        self.began = time.monotonic()

    def until(self, done: Callable[[Pods], bool], what: str, limit_s: float = 90) -> None:
        """Follow the pods until `done`; every change of state is a line."""
        asyncio.run(self._until(done, what, limit_s))

    async def _until(self, done: Callable[[Pods], bool], what: str, limit_s: float) -> None:
        client = thin.connect(NAME)
        self.began = time.monotonic()
        try:
            async with asyncio.timeout(limit_s):
                async for _ in self._changes(client):
                    if done(self.pods):
                        return
        except TimeoutError:
            raise Failure(f"the demo waited {limit_s:.0f} s in vain: {what}") from None
        finally:
            await client.close()

    async def _changes(self, client: Client) -> AsyncIterator[None]:
        listed = await client.list("pods", "default", labels="app=nginx")
        self.pods = {meta.name_of(p): p for p in listed.items}
        yield
        events = client.watch(
            "pods", "default", labels="app=nginx", resource_version=listed.resource_version
        )
        async for kind, pod in events:
            name = meta.name_of(pod)
            before = state_of(self.pods.get(name))
            if kind == "DELETED":
                self.pods.pop(name, None)
            else:
                self.pods[name] = pod
            now = state_of(self.pods.get(name))
            if now != before:
                took = time.monotonic() - self.began
                mark = f"{GREEN}{now}{PLAIN}" if now == "Ready" else now
                node = (pod.get("spec") or {}).get("nodeName", "")
                print(f"  {took:6.2f} s  {name}  {mark}  {DIM}{node}{PLAIN}", flush=True)
            yield


def state_of(pod: Mapping[str, Any] | None) -> str:
    """A pod's state in one word."""
    if pod is None:
        return "gone"
    if meta.is_deleting(pod):
        return "Terminating"
    if meta.is_condition_true(pod, "Ready"):
        return "Ready"
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    reasons = [((s.get("state") or {}).get("waiting") or {}).get("reason") for s in statuses]
    phase: str = (pod.get("status") or {}).get("phase", "Pending")
    return next((str(r) for r in reasons if r), phase)


def ready(count: int) -> Callable[[Pods], bool]:
    """Whether exactly `count` pods are there and all are Ready."""
    return lambda pods: len(pods) == count and all(state_of(p) == "Ready" for p in pods.values())


def replaced(name: str, uid: str, count: int) -> Callable[[Pods], bool]:
    """Whether `count` pods are Ready and `name` is another object than `uid`."""
    return lambda pods: ready(count)(pods) and meta.uid_of(pods[name]) != uid


def facts(pod: Mapping[str, Any]) -> str:
    """What changes and what stays when a pod is replaced."""
    status = pod["status"]
    return f"uid {meta.uid_of(pod)[:8]}  IP {status.get('podIP')}  node {pod['spec']['nodeName']}"


def sh(pod: str, script: str) -> str:
    """Run a script in a pod."""
    return petset("exec", pod, "--", "sh", "-c", script).strip()


def expect(fact: bool, text: str) -> None:
    """Say that something holds, or stop the demo."""
    if not fact:
        raise Failure(f"the demo failed: not true that {text}")
    print(f"  {GREEN}✓{PLAIN} {text}", flush=True)


def start(watcher: Watcher) -> None:
    """The cluster, the manifest, the ordered start."""
    title("A cluster of three nodes on this machine")
    petset("up", "--nodes", "3")
    title("A headless Service and a StatefulSet with a volume for each member")
    petset("apply", "-f", MANIFEST)
    watcher.until(ready(3), "three pods Ready")
    petset("get", "svc")
    petset("get", "pod", "-o", "wide")
    petset("get", "pvc")


def names(watcher: Watcher) -> None:
    """DNS and HTTP from one member to another."""
    title("Stable names: web-1 asks for web-0 by name")
    full = "web-0.nginx.default.svc.cluster.local"
    answer = sh("web-1", f"getent hosts {full} || nslookup {full}")
    address = watcher.pods["web-0"]["status"]["podIP"]
    expect(address in answer, f"{full} is {address}")
    page = sh("web-1", f"(wget -qO- http://{full}/ || curl -s http://{full}/) | grep -i '<title>'")
    expect("nginx" in page, "nginx answers there")


def replacement(watcher: Watcher) -> None:
    """A deleted member comes back as itself."""
    title("web-1 is deleted: same name, same volume, another pod")
    sh("web-1", f"echo 'kept by web-1' > {DATA}/note && cat {DATA}/note")
    before = watcher.pods["web-1"]
    petset("delete", "pod", "web-1")
    watcher.until(replaced("web-1", meta.uid_of(before), 3), "web-1 Ready again")
    after = watcher.pods["web-1"]
    print(f"  before: {facts(before)}\n  after:  {facts(after)}")
    expect(meta.uid_of(before) != meta.uid_of(after), "it is another pod")
    expect(sh("web-1", f"cat {DATA}/note") == "kept by web-1", "its file is still there")


def scaling(watcher: Watcher) -> None:
    """Down from the highest ordinal, up again with the old data."""
    title("Scale 3 -> 1 -> 3: last in, first out; volumes stay")
    sh("web-2", f"echo 'kept by web-2' > {DATA}/note && cat {DATA}/note")
    petset("scale", "sts/web", "--replicas", "1")
    watcher.until(ready(1), "one pod left")
    petset("get", "pvc")
    petset("scale", "sts/web", "--replicas", "3")
    watcher.until(ready(3), "three pods Ready")
    for name in ("web-1", "web-2"):
        expect(sh(name, f"cat {DATA}/note") == f"kept by {name}", f"{name} found its old data")


def loss(watcher: Watcher) -> None:
    """A node is lost and removed; its member moves with its identity and volume."""
    before = watcher.pods["web-2"]
    node = before["spec"]["nodeName"]
    title(f"{node} is lost, with web-2 on it")
    petset("node", "kill", node)
    petset("node", "remove", node)
    watcher.until(replaced("web-2", meta.uid_of(before), 3), "web-2 Ready elsewhere")
    after = watcher.pods["web-2"]
    print(f"  before: {facts(before)}\n  after:  {facts(after)}")
    expect(after["spec"]["nodeName"] != node, "web-2 runs on another node")
    expect(sh("web-2", f"cat {DATA}/note") == "kept by web-2", "with its name and its volume")
    petset("get", "pod", "-o", "wide")


def farewell(seconds: float) -> None:
    """What to try next, and how to stop."""
    title(f"Done in {seconds:.1f} s. The cluster goes on running. Try next")
    print("  kubectl --context petset-demo get all,pvc,pv,nodes -o wide")
    print("  kubectl --context petset-demo rollout restart sts/web")
    print("  kubectl --context petset-demo get pod -w")
    print("  petset up --name demo --nodes 3         (gives it its third node back)")
    print("Stop")
    print("  petset down --name demo                 (keeps the data)")
    print("  petset down --name demo --delete-data   (or: make demo-clean)", flush=True)


def main() -> None:
    """Every step, in order."""
    began = time.monotonic()
    watcher = Watcher()
    for step in (start, names, replacement, scaling, loss):
        step(watcher)
    farewell(time.monotonic() - began)


if __name__ == "__main__":
    import os

    os.chdir(Path(__file__).resolve().parent.parent)
    try:
        main()
    except Failure as failure:
        print(f"\n{failure}", file=sys.stderr)
        sys.exit(1)
