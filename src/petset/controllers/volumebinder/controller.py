"""Watches and observes for the volume binder."""

from collections.abc import Iterable, Sequence
from functools import partial

from petset.api import errors, meta
from petset.api.meta import Obj
from petset.client.queue import Queue
from petset.controllers.volumebinder import binding, match, provision
from petset.controllers.volumebinder.claim import ObservedClaim, is_shut_down, scheduled
from petset.controllers.volumebinder.directories import Directories, Volumes
from petset.controllers.volumebinder.plan import Observed, plan
from petset.controllers.volumebinder.volume import ObservedVolume
from petset.reconcile import podtemplate
from petset.reconcile.actions import Plan
from petset.reconcile.context import Context
from petset.reconcile.loop import Controller

_CLAIM = "claim-key"
_HOLDER = "kept-for"


class VolumeBinder(Controller[Observed]):
    """Binds claims to volumes, provisions and reclaims."""

    name = "volumebinder"
    component = "persistentvolume-controller"

    def __init__(self, ctx: Context, volumes: Volumes) -> None:
        self._client = ctx.client
        self._volumes_root = ctx.config.volumes_root
        self._claims = ctx.informers.cache(binding.CLAIMS)
        self._volumes = ctx.informers.cache(binding.VOLUMES)
        self._classes = ctx.informers.cache("storageclasses.storage.k8s.io")
        self._pods = ctx.informers.cache("pods")
        self._nodes = ctx.informers.cache("nodes")
        self.caches = (self._claims, self._volumes)
        self.externals = {
            provision.CREATE_DIRECTORY: volumes.create,
            provision.DELETE_DIRECTORY: volumes.delete,
        }
        self._pods.add_index(_CLAIM, claim_keys)
        self._volumes.add_index(_HOLDER, holders)

    def watch(self, queue: Queue) -> None:
        """Claims and volumes wake each other; classes wake waiting claims; pods their claims."""

        self._claims.add_handler(partial(self._on_claim, queue))
        self._volumes.add_handler(partial(self._on_volume, queue))
        self._classes.add_handler(partial(self._on_class, queue))
        self._pods.add_handler(partial(self._on_pod, queue))

    def _on_claim(self, queue: Queue, old: Obj | None, new: Obj | None) -> None:
        claim = new or old or {}
        queue.add(f"claim/{meta.key_of(claim)}")
        for name in sorted({*_volume_names(old), *_volume_names(new)}):
            queue.add(f"volume/{name}")
        if new is None:
            self._wake_reserved(queue, claim)

    def _on_volume(self, queue: Queue, old: Obj | None, new: Obj | None) -> None:
        volume = new or old or {}
        queue.add(f"volume/{meta.name_of(volume)}")
        for key in sorted({*_claims_named(old), *_claims_named(new)}):
            queue.add(f"claim/{key}")
        if new is not None and not match.claim_ref(new):
            self._wake_waiting(queue, class_name=match.class_of(new))

    def _on_class(self, queue: Queue, old: Obj | None, new: Obj | None) -> None:
        self._wake_waiting(queue, class_name=meta.name_of(new or old or {}))

    def _on_pod(self, queue: Queue, old: Obj | None, new: Obj | None) -> None:
        if old and new and _use(old) == _use(new):
            return
        for key in sorted({*claim_keys(old or {}), *claim_keys(new or {})}):
            queue.add(f"claim/{key}")

    async def observe(self, key: str) -> Observed | None:
        """A claim with volumes, classes and users, or a volume with its claim."""
        kind, _, rest = key.partition("/")
        if kind == "volume":
            return await self._observe_volume(rest)
        namespace, _, name = rest.partition("/")
        claim = self._claims.get(namespace, name)
        if claim is None:
            return None
        users = [p for p in self._pods.by_index(_CLAIM, rest) if not podtemplate.is_finished(p)]
        selected = meta.annotations_of(claim).get(binding.SELECTED_NODE, "")
        return ObservedClaim(
            claim=claim,
            volumes=self._volumes_for(claim),
            classes=self._classes.list(),
            users=users,
            volumes_root=self._volumes_root,
            node=self._hostname(selected),
            node_gone=bool(selected) and self._nodes.get("", selected) is None,
            unused=meta.is_deleting(claim) and not scheduled(users) and await self._unused(claim),
        )

    def plan(self, seen: Observed, now: float) -> Plan:
        """See `plan.plan`."""
        return plan(seen, now)

    def _volumes_for(self, claim: Obj) -> Sequence[Obj]:
        """The volumes that a plan can be about: kept for the claim, named by it, nobody's."""
        found = [*self._volumes.by_index(_HOLDER, meta.key_of(claim))]
        found += self._volumes.by_index(_HOLDER, "")
        named = self._volumes.get("", match.spec_of(claim).get("volumeName") or "")
        return found if named is None or named in found else [*found, named]

    async def _observe_volume(self, name: str) -> ObservedVolume | None:
        volume = self._volumes.get("", name)
        if volume is None:
            return None
        reference = match.claim_ref(volume)
        namespace, claim_name = reference.get("namespace") or "", reference.get("name") or ""
        claim = self._claims.get(namespace, claim_name)
        there = claim is not None and meta.uid_of(claim) == reference.get("uid")
        gone = bool(reference.get("uid")) and not there
        if gone:
            gone = await self._is_gone(namespace, claim_name, reference["uid"])
        return ObservedVolume(volume, claim, gone)

    async def _is_gone(self, namespace: str, name: str, uid: str) -> bool:
        """A live look: data is about to be given up."""
        try:
            live = await self._client.get(binding.CLAIMS, name, namespace)
        except errors.StatusError as error:
            if error.code == 404:
                return True
            raise
        return meta.uid_of(live) != uid

    async def _unused(self, claim: Obj) -> bool:
        """A live look: no scheduled pod that is not finished names the claim."""
        listed = await self._client.list("pods", meta.namespace_of(claim))
        key = meta.key_of(claim)
        users = [p for p in listed.items if key in claim_keys(p) and not podtemplate.is_finished(p)]
        return not scheduled(users)

    def _hostname(self, node_name: str) -> str:
        node = self._nodes.get("", node_name)
        return meta.labels_of(node or {}).get(provision.HOSTNAME_LABEL, node_name)

    def _wake_waiting(self, queue: Queue, *, class_name: str) -> None:
        for claim in self._claims.list():
            waiting = binding.BIND_COMPLETED not in meta.annotations_of(claim)
            if waiting and (match.class_of(claim) == class_name or not match.has_class(claim)):
                queue.add(f"claim/{meta.key_of(claim)}")

    def _wake_reserved(self, queue: Queue, claim: Obj) -> None:
        for volume in self._volumes.by_index(_HOLDER, meta.key_of(claim)):
            queue.add(f"volume/{meta.name_of(volume)}")


def claim_keys(pod: Obj) -> Sequence[str]:
    """Index: the keys of the claims that a pod names, generic ephemeral ones among them."""
    found = []
    for volume in (pod.get("spec") or {}).get("volumes") or ():
        name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        if "ephemeral" in volume:
            name = f"{meta.name_of(pod)}-{volume['name']}"
        if name:
            found.append(f"{meta.namespace_of(pod)}/{name}")
    return found


def _volume_names(claim: Obj | None) -> Iterable[str]:
    name = match.spec_of(claim or {}).get("volumeName")
    return (name,) if name else ()


def _claims_named(volume: Obj | None) -> Iterable[str]:
    reference = match.claim_ref(volume or {})
    name = reference.get("name")
    return (f"{reference.get('namespace')}/{name}",) if name else ()


def holders(volume: Obj) -> Iterable[str]:
    """Index: the key of the claim that a volume is kept for, "" where it is nobody's."""
    return _claims_named(volume) if match.claim_ref(volume) else ("",)


def _use(pod: Obj) -> tuple[object, ...]:
    node = (pod.get("spec") or {}).get("nodeName")
    return podtemplate.is_finished(pod), is_shut_down(pod), node


def make(ctx: Context) -> VolumeBinder:
    """The factory for the registry; the directories are those below `config.volumes_root`."""
    return VolumeBinder(ctx, Directories(ctx.config.volumes_root))
