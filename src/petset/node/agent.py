"""The agent of one node: takes the pods bound to it and keeps a worker for each.

Invariant: ending the agent, however roughly, ends no pod. The next agent finds them by their
records and takes them over; what the API no longer has is stopped.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from petset.api import errors
from petset.api.meta import Obj, is_condition_true, is_deleting, name_of, namespace_of, uid_of
from petset.api.podrequests import Amounts, requests_of
from petset.base.clock import Clock
from petset.base.ids import Ids
from petset.client.client import Client
from petset.client.events import Recorder
from petset.client.reflector import Informers
from petset.client.transport import TransportError
from petset.node import admission, assemble, housekeeping, podrecord, podspec
from petset.node.config import AgentConfig
from petset.node.content import ContentWatch
from petset.node.images.types import Images
from petset.node.network import node as network
from petset.node.nodeobject import NodeFacts
from petset.node.peers import Peers
from petset.node.registration import Registration
from petset.node.runtime.base import Run, Runtime
from petset.node.seen import SHUT_DOWN, Verdict
from petset.node.server import Server
from petset.node.volume.base import Volumes
from petset.node.worker import PodWorker
from petset.reconcile.actions import Emit
from petset.reconcile.events import Events

RESTART_FIRST_S = 1.0
RESTART_MAX_S = 60.0

_log = logging.getLogger(__name__)


class AgentRunningError(Exception):
    """Another agent of this node runs already."""


class Agent:
    """Runs the pods of one node.

    Args:
        informers: shared caches; None makes own ones (and runs them).
        runtime, volumes: stand-ins for tests; None makes the real ones.
    """

    def __init__(  # noqa: PLR0913 (the seams of a node; all but the first five by name)
        self,
        config: AgentConfig,
        client: Client,
        clock: Clock,
        ids: Ids,
        images: Images,
        *,
        informers: Informers | None = None,
        runtime: Runtime | None = None,
        volumes: Volumes | None = None,
    ) -> None:
        self.config = config
        self._client = client
        self._clock = clock
        self._own_informers = informers is None
        self.informers = informers or Informers(client)
        recorder = Recorder(client, "kubelet", config.name, clock, ids)
        self._events = Events(recorder)
        self._services = self.informers.cache("services")
        self.tools = assemble.tools(
            assemble.Parts(
                config=config,
                client=client,
                clock=clock,
                ids=ids,
                images=images,
                services=self._services.list,
                emit=self._emit,
                runtime=runtime,
                volumes=volumes,
            )
        )
        self.runtime = self.tools.runtime
        self._pods = self.informers.cache("pods", fields=f"spec.nodeName={config.name}")
        self._content = ContentWatch(self.informers, self._refresh)
        self._nodes = self.informers.cache("nodes")
        self._peers = Peers(self._nodes, config.name, config.network)
        self._registration = Registration(
            client, clock, config.state_dir, self._facts, self._say_of_node
        )
        self._workers: dict[str, PodWorker] = {}
        self._named: dict[tuple[str, str], list[str]] = {}
        self._ends: dict[str, asyncio.Event] = {}
        self._requests: dict[str, Amounts] = {}
        self._looking: set[str] = set()
        self._lock: IO[str] | None = None
        self._problem = ""
        self._resting = False
        self.server = Server(self.runtime, self.pod, clock)

    @property
    def netns(self) -> Path | None:
        """The node's pinned network namespace, once `prepare` is done."""
        return self.config.network.netns if self.config.network else None

    @property
    def ready(self) -> asyncio.Event:
        """Set once the node is registered."""
        return self._registration.registered

    def pod(self, namespace: str, name: str) -> Obj | None:
        """A pod of this node, as known here."""
        uids = self._named.get((namespace, name))
        return self._workers[uids[-1]].pod if uids else None

    # -- start-up -------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """Network, runtime, what is there already. Raises AgentRunningError, RuntimeFailedError,
        OSError."""
        if self._lock is not None:
            return
        self._take_lock()
        if self.config.network is not None:
            await asyncio.to_thread(network.setup, self.config.network)
        await self.runtime.prepare(self._exited)

    def _take_lock(self) -> None:
        for path in (self.config.run_dir, self.config.state_dir / "pods"):
            path.mkdir(parents=True, exist_ok=True)
        lock = (self.config.run_dir / "agent.lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise AgentRunningError(f"an agent of node {self.config.name} runs already") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    async def run(self) -> None:
        """Keep the node until cancelled; its pods go on without the agent."""
        await self.prepare()
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                if self._own_informers:
                    group.create_task(self.informers.run(), name="informers")
                group.create_task(self._events.run(), name="events")
                group.create_task(self._registration.run(), name="registration")
                group.create_task(self._peers.run(), name="peers")
                group.create_task(housekeeping.rotate_logs(self.runtime), name="logs")
                try:
                    await self._listen()
                    await self._keep_pods()
                finally:
                    self._resting = True  # the informers end a moment later than this group
        finally:
            await self._close()

    async def _listen(self) -> None:
        if self.config.tls is not None:
            await self.server.listen(self.config)

    async def _close(self) -> None:
        await self.server.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    async def _keep_pods(self) -> None:
        """Nothing is started, stopped or told before the API has said which pods there are.

        Nor before it knows the node: pods of a node that was deleted are about to begin elsewhere.
        """
        await self._pods.wait_synced()
        await self._nodes.wait_synced()
        await self._registration.registered.wait()
        self._nodes.add_handler(self._registration.node_changed)
        known = {uid_of(pod): pod for pod in self._pods.list()}
        for uid in sorted(self.runtime.pods(), key=known.__contains__):  # first what has to go
            record = podrecord.load(self.tools.pod_dir(uid))
            if uid in known:
                lost = record is None  # in a power cut
                record = record or podrecord.PodRecord(known[uid], self._clock.now())
                worker = self._keep(record)
                worker.offer(known[uid])
                if lost:
                    worker.save()
            else:
                record = record or podrecord.PodRecord(self._remains(uid), 0.0)
                self._keep(record).gone()
        self._pods.add_handler(self._pod_changed)
        await asyncio.Future[None]()

    def _remains(self, uid: str) -> Obj:
        """A stand-in for the object of a pod of which only containers are known."""
        names = sorted({run.name for run in self.runtime.runs(uid)})
        return {"metadata": {"uid": uid}, "spec": {"containers": [{"name": n} for n in names]}}

    def _facts(self) -> NodeFacts:
        config = self.config
        return NodeFacts(
            name=config.name,
            address=config.address,
            pod_cidr=config.pod_cidr,
            runtime=self.runtime.version,
            version=config.version,
            port=config.port if config.tls else 0,
            problem=self._problem,
            labels=config.labels,
            capacity=config.capacity,
        )

    async def shut_down(self) -> None:
        """Take no more pods, end those that are here with their hooks and grace, tell the API."""
        self._problem = "node is shutting down"
        await self._registration.beat()
        changed = asyncio.Event()
        self._pods.add_handler(lambda old, new: changed.set())
        for worker in self._workers.values():
            if not worker.is_over:
                worker.judge(SHUT_DOWN)
        while not all(worker.is_over for worker in self._workers.values()):
            await changed.wait()
            changed.clear()

    async def rest(self, grace_s: int) -> None:
        """Take no more pods and end every container, with its hook, in `grace_s` at most.

        The API is told nothing: its pods go on with the next agent.
        """
        self._resting = True
        async with asyncio.TaskGroup() as group:
            for worker in self._workers.values():
                group.create_task(worker.rest(grace_s), name=f"rest {worker.uid}")

    # -- pods -----------------------------------------------------------------------------------

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        if old is not None and (new is None or uid_of(new) != uid_of(old)):
            worker = self._workers.get(uid_of(old))
            if worker is not None:
                worker.gone()
        if new is None:
            return
        worker = self._workers.get(uid_of(new))
        if worker is not None:
            worker.offer(new)
        elif uid_of(new) not in self._looking:
            self._admit(new)

    def _admit(self, pod: Obj) -> None:
        """Take a pod that is new here."""
        if self._resting:
            return
        verdict = podrecord.end_of(pod)
        if verdict and not is_deleting(pod) and not is_condition_true(pod, "Ready"):
            return  # it ran its course under an agent whose records are gone
        if verdict:
            self._keep(podrecord.PodRecord(pod, self._clock.now(), verdict)).save()
        elif self._refusal(pod, self._nodes.get("", self.config.name)) is None:
            self._take(pod)
        else:
            self._looking.add(uid_of(pod))
            self._group.create_task(self._look_again(pod), name=f"admit {uid_of(pod)}")

    async def _look_again(self, pod: Obj) -> None:
        """Decide on the Node as it is: the scheduler may have seen what is not yet known here."""
        try:
            node: Obj | None = await self._client.get("nodes", self.config.name)
        except (errors.StatusError, TransportError):
            node = self._nodes.get("", self.config.name)
        self._looking.discard(uid_of(pod))
        now = self._pods.get(namespace_of(pod), name_of(pod))
        if now is not None and uid_of(now) == uid_of(pod):
            self._take(now, self._refusal(now, node))

    def _take(self, pod: Obj, refused: Verdict | None = None) -> None:
        clash = self._port_clash(pod)
        worker = self._keep(podrecord.PodRecord(pod, self._clock.now()))
        worker.save()
        if refused is None and clash:
            refused = admission.no_ports()
        if refused is not None:
            worker.judge(refused)

    def _refusal(self, pod: Obj, node: Obj | None) -> Verdict | None:
        """Why this node does not take a pod, its ports aside."""
        if node is None or is_deleting(pod):
            return None
        if self._problem:
            return admission.shutting_down()
        others = {u: w for u, w in self._workers.items() if _name(w.pod) != _name(pod)}
        most = admission.sum_of(self._requests[uid] for uid in others)
        if admission.refusal(pod, node, most) is None:
            return None
        there = [uid for uid, worker in others.items() if worker.takes_room]
        return admission.refusal(pod, node, admission.sum_of(self._requests[u] for u in there))

    def _port_clash(self, pod: Obj) -> bool:
        wanted = list(podspec.host_ports(pod))
        if not wanted:
            return False
        taken = [
            claim
            for worker in self._workers.values()
            if worker.holds_ports and _name(worker.pod) != _name(pod)  # those are waited for
            for claim in podspec.host_ports(worker.pod)
        ]
        anywhere = "0.0.0.0"  # noqa: S104 (compared, not bound)
        return any(
            protocol == other_protocol
            and port == other_port
            and (ip == other_ip or anywhere in (ip, other_ip))
            for ip, protocol, port in wanted
            for other_ip, other_protocol, other_port in taken
        )

    def _keep(self, record: podrecord.PodRecord) -> PodWorker:
        worker = PodWorker(self.tools, record)
        named = self._named.setdefault(_name(record.pod), [])
        before = [self._ends[uid] for uid in named]
        named.append(worker.uid)
        self._workers[worker.uid] = worker
        self._requests[worker.uid] = requests_of(podspec.spec_of(record.pod))
        self._ends[worker.uid] = asyncio.Event()
        self._content.follow(record.pod)
        self._group.create_task(self._supervise(worker, before), name=f"pod {worker.uid}")
        return worker

    async def _supervise(self, worker: PodWorker, before: Sequence[asyncio.Event]) -> None:
        """Run a worker to its end; one that breaks is made anew from its record.

        It begins when no trace is left of the pods of this name that were here `before`: by force
        a name can be free in the API while something of its last owner still runs.
        """
        for event in before:
            await event.wait()
        worker = self._workers[worker.uid]
        delay = RESTART_FIRST_S
        while True:
            task = asyncio.ensure_future(worker.run())
            try:
                await asyncio.wait({task})
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait({task})
            error = None if task.cancelled() else task.exception()
            if error is None:
                break
            _log.error("the worker of pod %s broke", name_of(worker.pod), exc_info=error)
            await asyncio.sleep(delay)
            delay = min(delay * 2, RESTART_MAX_S)
            worker = self._renew(worker)
        self._workers.pop(worker.uid, None)
        self._requests.pop(worker.uid, None)
        self._unname(worker)
        self._ends.pop(worker.uid).set()
        self._content.leave(worker.uid)

    def _unname(self, worker: PodWorker) -> None:
        uids = self._named[_name(worker.pod)]
        uids.remove(worker.uid)
        if not uids:
            del self._named[_name(worker.pod)]

    def _renew(self, broken: PodWorker) -> PodWorker:
        record = podrecord.load(self.tools.pod_dir(broken.uid))
        fresh = PodWorker(self.tools, record or podrecord.PodRecord(broken.pod, self._clock.now()))
        self._workers[fresh.uid] = fresh
        now = self._pods.get(namespace_of(broken.pod), name_of(broken.pod))
        if now is not None and uid_of(now) == fresh.uid:
            fresh.offer(now)
        elif self._pods.synced:
            fresh.gone()
        return fresh

    def _exited(self, run: Run) -> None:
        self.server.exited(run)
        worker = self._workers.get(run.pod_uid)
        if worker is not None:
            worker.exited(run)

    def _refresh(self, uid: str) -> None:
        worker = self._workers.get(uid)
        if worker is not None:
            worker.refresh()

    def _say_of_node(self, kind: str, reason: str, message: str) -> None:
        """An event about the node; the kubelet gives its name as the uid."""
        name = self.config.name
        node = {"kind": "Node", "apiVersion": "v1", "name": name, "uid": name}
        self._emit(node, kind, reason, message)

    def _emit(self, involved: Obj, kind: str, reason: str, message: str) -> None:
        assert kind in ("Normal", "Warning")
        self._events.emit(
            Emit(involved, "Normal" if kind == "Normal" else "Warning", reason, message)
        )


def _name(pod: Obj) -> tuple[str, str]:
    return namespace_of(pod), name_of(pod)
