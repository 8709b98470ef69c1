"""Starts one container of a pod: image, environment, files, mounts, the runtime, the hook."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from petset.api.meta import MutableObj, Obj, namespace_of, reference_to, uid_of
from petset.node import environment, podfiles, podspec, security
from petset.node.check import Target
from petset.node.images.types import Image, ImageError
from petset.node.runtime.base import ContainerConfig, Mount, Run, RuntimeFailedError
from petset.node.tools import Tools
from petset.node.volume import hostpath
from petset.node.volume.base import Mounted, VolumeFailedError

HOOK_MAX_S = 3600.0
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PROPAGATION = {"HostToContainer": "rslave", "Bidirectional": "rshared"}

T = TypeVar("T")


class StartFailedError(Exception):
    """A container could not be started: the kubelet's reason and the words."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class AbortedError(Exception):
    """The pod is to stop; the start was given up."""


@dataclass(frozen=True, slots=True)
class Order:
    """Which run of which container is to start."""

    pod: Obj
    spec: Obj
    attempt: int
    backoff: int
    pod_ip: str
    init: bool


def involved(order_pod: Obj, name: str, *, init: bool) -> MutableObj:
    """The reference that a container's events carry."""
    reference = reference_to({"kind": "Pod", "apiVersion": "v1", **order_pod})
    field = "initContainers" if init else "containers"
    return {**reference, "fieldPath": f"spec.{field}{{{name}}}"}


class Starter:
    """Starts containers for one pod."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def start(self, order: Order, abort: asyncio.Event) -> Run:
        """Start the run; it runs, and its postStart hook is done, when this returns.

        Raises StartFailedError, or AbortedError when `abort` was set meanwhile.
        """
        name = order.spec["name"]
        image = await unless(abort, self._image(order))
        if abort.is_set():
            raise AbortedError
        config = await self._config(order, image)
        try:
            run = await self._tools.runtime.start(
                config, lambda: self._tools.volumes.may_start(order.pod)
            )
        except RuntimeFailedError as error:
            self._say(order, "Warning", "Failed", f"Error: {error.message}")
            raise StartFailedError(error.reason, error.message) from error
        self._say(order, "Normal", "Created", f"Created container: {name}")
        self._say(order, "Normal", "Started", f"Started container {name}")
        await self._post_start(order, run, abort)
        return run

    def _say(self, order: Order, kind: str, reason: str, message: str) -> None:
        who = involved(order.pod, order.spec["name"], init=order.init)
        self._tools.emit(who, kind, reason, message)

    # -- image ----------------------------------------------------------------------------------

    async def _image(self, order: Order) -> Image:
        def report(kind: str, reason: str, message: str) -> None:
            self._say(order, kind, reason, message)

        ref = order.spec.get("image") or ""
        policy = order.spec.get("imagePullPolicy") or "IfNotPresent"
        try:
            auths = await self._auths(order.pod)
            return await self._tools.images.ensure(ref, policy, report, auths)
        except ImageError as error:
            self._say(order, "Warning", "Failed", f'Failed to pull image "{ref}": {error.message}')
            self._say(order, "Warning", "Failed", f"Error: {error.reason}")
            raise StartFailedError(error.reason, error.message) from error

    async def _auths(self, pod: Obj) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for reference in podspec.spec_of(pod).get("imagePullSecrets") or ():
            name = reference.get("name") or ""
            secret = await self._tools.fetch("secrets", namespace_of(pod), name)
            if secret is not None:
                found.update(registry_auths(environment.content_of(secret)))
        return found

    # -- configuration --------------------------------------------------------------------------

    async def _config(self, order: Order, image: Image) -> ContainerConfig:
        pod, spec = order.pod, order.spec
        try:
            env = await self._environment(order, image)
            args = environment.command_line(spec, image.entrypoint, image.cmd, env)
            mounts = await asyncio.to_thread(self._mounts, order, env)
        except (environment.ConfigError, VolumeFailedError, OSError) as error:
            self._say(order, "Warning", "Failed", f"Error: {error}")
            raise StartFailedError("CreateContainerConfigError", str(error)) from error
        log = self._tools.log_dir(pod) / spec["name"] / f"{order.attempt}.log"
        return ContainerConfig(
            id=f"{self._tools.ids.rng.getrandbits(128):032x}",
            pod_uid=uid_of(pod),
            name=spec["name"],
            attempt=order.attempt,
            image=image,
            args=args,
            env=tuple(env.items()),
            cwd=spec.get("workingDir") or image.working_dir,
            mounts=tuple(mounts),
            log_path=str(log),
            limits=security.limits_of(spec),
            security=security.security_of(pod, spec),
            tty=bool(spec.get("tty")),
            stdin=bool(spec.get("stdin")),
            stdin_once=bool(spec.get("stdinOnce")),
            host_network=podspec.on_host_network(pod),
            backoff=order.backoff,
        )

    async def _environment(self, order: Order, image: Image) -> dict[str, str]:
        pod, spec = order.pod, order.spec
        contents: dict[tuple[str, str], Mapping[str, bytes] | None] = {}
        for resource, name in environment.references(spec):
            obj = await self._tools.fetch(resource, namespace_of(pod), name)
            contents[resource, name] = None if obj is None else environment.content_of(obj)
        links = podspec.spec_of(pod).get("enableServiceLinks") is not False
        services = environment.service_variables(
            self._tools.services(), namespace_of(pod), links=links
        )
        facts = self._tools.facts(order.pod_ip)
        own = environment.build(
            pod, spec, facts, lambda resource, name: contents.get((resource, name)), services
        )
        base = {"PATH": DEFAULT_PATH, "HOSTNAME": self._tools.hostname(pod)}
        if spec.get("tty"):
            base["TERM"] = "xterm"
        for pair in image.env:
            key, _, value = pair.partition("=")
            base[key] = value
        return {**base, **own}

    # -- mounts ---------------------------------------------------------------------------------

    def _mounts(self, order: Order, env: Mapping[str, str]) -> list[Mount]:
        pod, spec = order.pod, order.spec
        volumes = self._tools.volumes.mounted(pod) or {}
        made = [_volume_mount(mount, volumes, env) for mount in spec.get("volumeMounts") or ()]
        taken = {mount.target for mount in made}
        return made + [m for m in self._own_files(order) if m.target not in taken]

    def _own_files(self, order: Order) -> list[Mount]:
        """resolv.conf, hosts, hostname and the file for the termination message."""
        pod, tools = order.pod, self._tools
        folder = tools.pod_dir(uid_of(pod)) / "etc"
        folder.mkdir(parents=True, exist_ok=True)
        texts = {
            "resolv.conf": podfiles.resolv_conf(pod, tools.resolver),
            "hostname": tools.hostname(pod) + "\n",
            "hosts": podfiles.hosts(pod, order.pod_ip, tools.resolver),
        }
        made = []
        for name, text in texts.items():
            file = folder / name
            if not file.exists() or file.read_text() != text:
                file.write_text(text)
            file.chmod(0o644)
            made.append(Mount(str(file), f"/etc/{name}"))
        message = termination_file(tools.pod_dir(uid_of(pod)), order.spec["name"], order.attempt)
        message.parent.mkdir(parents=True, exist_ok=True)
        message.touch()
        message.chmod(0o666)
        path = order.spec.get("terminationMessagePath") or "/dev/termination-log"
        return [*made, Mount(str(message), path)]

    # -- hook -----------------------------------------------------------------------------------

    async def _post_start(self, order: Order, run: Run, abort: asyncio.Event) -> None:
        hook = (order.spec.get("lifecycle") or {}).get("postStart")
        if not hook:
            return
        if hook.get("sleep"):
            await unless(abort, asyncio.sleep(float(hook["sleep"].get("seconds") or 0)))
            return
        target = Target(run.id, order.spec, order.pod_ip)
        answer = await unless(abort, self._tools.checker.check(target, hook, HOOK_MAX_S))
        if not answer.success:
            self._say(
                order, "Warning", "FailedPostStartHook", f"PostStartHook failed: {answer.words}"
            )
            self._tools.runtime.kill(run.id)
            raise StartFailedError("PostStartHookError", answer.words)


async def unless(abort: asyncio.Event, work: Awaitable[T]) -> T:
    """The result of `work`; AbortedError (and `work` cancelled) as soon as `abort` is set."""
    task = asyncio.ensure_future(work)
    waiter = asyncio.ensure_future(abort.wait())
    try:
        await asyncio.wait({task, waiter}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise AbortedError
        return task.result()
    finally:
        waiter.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait({task})


def termination_file(pod_dir: Path, name: str, attempt: int) -> Path:
    """Where a run may leave a message for its status."""
    return pod_dir / "messages" / f"{name}.{attempt}"


def _volume_mount(mount: Obj, volumes: Mapping[str, Mounted], env: Mapping[str, str]) -> Mount:
    name = mount["name"]
    if name not in volumes:
        raise VolumeFailedError(f"volume {name} is not mounted")
    volume = volumes[name]
    part = mount.get("subPath") or ""
    if mount.get("subPathExpr"):
        part = environment.expand(mount["subPathExpr"], env)
    source = hostpath.sub_path(volume.path, part) if part else volume.path
    return Mount(
        source=source,
        target=mount["mountPath"],
        read_only=volume.read_only or bool(mount.get("readOnly")),
        propagation=PROPAGATION.get(mount.get("mountPropagation") or "", "private"),
    )


def registry_auths(content: Mapping[str, bytes]) -> dict[str, str]:
    """Registry host -> base64 `user:password`, from the content of a pull secret."""
    found: dict[str, str] = {}
    for key in (".dockerconfigjson", ".dockercfg"):
        try:
            raw = json.loads(content.get(key) or b"{}")
        except ValueError:
            continue
        for host, entry in (raw.get("auths", {}) if key == ".dockerconfigjson" else raw).items():
            auth = entry.get("auth")
            if not auth and entry.get("username"):
                pair = f"{entry['username']}:{entry.get('password') or ''}"
                auth = base64.b64encode(pair.encode()).decode()
            if auth:
                found[host.removeprefix("https://").partition("/")[0]] = auth
    return found
