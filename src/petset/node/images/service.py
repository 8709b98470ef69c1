"""The images of this machine as the agent sees them: ensure, local; and the CLI's verbs.

Order for a pod: what is here; the registry; and only where the registry gives no answer at all,
the recipe of that name. Heavy work happens in worker processes. Where a registry was silent lately
and something can stand in, the pod does not wait for it to be asked again: that happens beside, and
the next pod gets what it brings. What was built from an older version of a recipe is built again.
Invariant: one image is fetched once at a time, however many pods wait for it.
"""

import asyncio
from collections.abc import Awaitable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from petset.base.clock import Clock, SystemClock
from petset.node.images import recipes, reference, workers
from petset.node.images.local import InUseError, Record, Store, StoreError
from petset.node.images.recipes import ORIGIN, Recipe
from petset.node.images.reference import InvalidReferenceError, Reference
from petset.node.images.silence import TRUSTED_S, Silences
from petset.node.images.types import Image, ImageError, Report
from petset.node.images.workerio import Failure, Tell
from petset.node.images.workers import PULLER, WORKER, Run

UNREACHABLE_S = 30.0
"""For how long a registry that gave no answer is not asked again."""

REBUILD_AGAIN_S = 600.0
"""How long an old build serves after it could not be built again."""

FLIGHTS = 4
"""Pulls and builds at a time."""


@dataclass(slots=True)
class _Flight:
    """One image on its way, and who wants to hear of it."""

    task: asyncio.Task[tuple[Record, float]]
    events: list[tuple[str, str, str]] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)

    def tell(self, kind: str, reason: str, message: str) -> None:
        self.events.append((kind, reason, message))
        for report in self.reports:
            report(kind, reason, message)

    def join(self, report: Report) -> None:
        for event in self.events:
            report(*event)
        self.reports.append(report)


class ImageService:
    """The seam `Images` on a store, registries and recipes.

    Events that it reports: Pulling, Pulled, Failed (why a pull failed), InspectFailed,
    ErrImageNeverPull, and petset's own BuildingFromRecipe and BuiltFromRecipe. `Error: <reason>`
    is the caller's to say.
    """

    def __init__(
        self,
        root: Path,
        *,
        run: Run = workers.run,
        unreachable_s: float = UNREACHABLE_S,
        clock: Clock | None = None,
    ) -> None:
        self.store = Store(root)
        self._silences = Silences(root, clock or SystemClock())
        self._asking: set[asyncio.Task[None]] = set()
        self._run = run
        self._unreachable_s = unreachable_s
        self._rebuilds: dict[str, asyncio.Task[Record]] = {}
        self._rebuilt_badly: dict[str, float] = {}
        self._flights: dict[tuple[str, frozenset[tuple[str, str]]], _Flight] = {}
        self._slots = asyncio.Semaphore(FLIGHTS)

    def local(self, ref: str) -> Image | None:
        """Image `ref` if it is here."""
        record = self.store.find(ref)
        return None if record is None else self.store.image(record, _normal(ref))

    async def ensure(
        self, ref: str, policy: str, report: Report, auths: Mapping[str, str] | None = None
    ) -> Image:
        """Have image `ref` unpacked, by `policy`. Raises ImageError."""
        try:
            parsed = reference.parse(ref)
        except InvalidReferenceError as error:
            words = f'Failed to apply default image tag "{ref}": '
            words += f'couldn\'t parse image name "{ref}": {error}'
            report("Warning", "InspectFailed", words)
            raise ImageError("InvalidImageName", words) from None
        present = self.store.find(ref)
        # A digest names one content for ever: no registry could say anything new about it.
        if present is not None and (policy != "Always" or parsed.digest):
            if policy != "Never" and str(parsed) in present.tags:
                present = await self._renewed(present, ref, report)
            report("Normal", "Pulled", f'Container image "{ref}" already present on machine')
            return self.store.image(present, str(parsed))
        if policy == "Never":
            words = f'Container image "{ref}" is not present with pull policy of Never'
            report("Warning", "ErrImageNeverPull", words)
            raise ImageError("ErrImageNeverPull", words)
        return self.store.image(await self._fetch(ref, parsed, report, auths or {}), str(parsed))

    async def close(self) -> None:
        """Stop what is under way."""
        flights = [flight.task for flight in self._flights.values()]
        tasks = [*flights, *self._rebuilds.values(), *self._asking]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _fetch(
        self, ref: str, parsed: Reference, report: Report, auths: Mapping[str, str]
    ) -> Record:
        report("Normal", "Pulling", f'Pulling image "{ref}"')
        loop = asyncio.get_running_loop()
        began = loop.time()
        flight = self._join(ref, parsed, report, auths)
        try:
            record, took_s = await asyncio.shield(flight.task)
        except (Failure, StoreError) as error:
            report("Warning", "Failed", f'Failed to pull image "{ref}": {error}')
            raise ImageError("ErrImagePull", str(error)) from None
        finally:
            with suppress(ValueError):
                flight.reports.remove(report)
        if took_s >= 0:
            whole, alone = _duration(loop.time() - began), _duration(took_s)
            words = f'Successfully pulled image "{ref}" in {alone} ({whole} including waiting). '
            report("Normal", "Pulled", f"{words}Image size: {record.size} bytes.")
        return record

    def _join(
        self, ref: str, parsed: Reference, report: Report, auths: Mapping[str, str]
    ) -> _Flight:
        key = (str(parsed), frozenset(auths.items()))
        flight = self._flights.get(key)
        if flight is None:
            task = asyncio.get_running_loop().create_task(self._fly(key, ref, parsed, auths))
            flight = self._flights[key] = _Flight(task)
            task.add_done_callback(lambda _: self._flights.pop(key, None))
            task.add_done_callback(_hear)
        flight.join(report)
        return flight

    async def _fly(
        self,
        key: tuple[str, frozenset[tuple[str, str]]],
        ref: str,
        parsed: Reference,
        auths: Mapping[str, str],
    ) -> tuple[Record, float]:
        """The image, and how long the pull took; -1 when it did not come from a registry."""
        silence = self._silences.of(parsed.domain)
        if silence is not None and silence.age_s < TRUSTED_S and self._can_stand_in(parsed):
            if silence.age_s >= self._unreachable_s:
                self._ask_beside(parsed, auths, silence.why)
            return await self._stand_in(ref, parsed, silence.why, self._flights[key].tell), -1.0
        async with self._slots:
            why = silence.why if silence is not None and silence.age_s < self._unreachable_s else ""
            if not why:
                began = asyncio.get_running_loop().time()
                try:
                    record = await self._pull(parsed, auths)
                except Failure as failure:
                    if failure.kind != "unreachable":
                        raise
                    why = failure.message
                else:
                    return record, asyncio.get_running_loop().time() - began
            return await self._stand_in(ref, parsed, why, self._flights[key].tell), -1.0

    def _can_stand_in(self, parsed: Reference) -> bool:
        """Whether an image is here already that serves while the registry is silent."""
        if self.store.find(str(parsed)) is not None:
            return True
        recipe = recipes.standing_in(parsed)
        return recipe is not None and self._built_before(recipe) is not None

    def _ask_beside(self, parsed: Reference, auths: Mapping[str, str], why: str) -> None:
        """Ask the registry again while pods go on with what stands in."""

        async def ask() -> None:
            with suppress(Failure):
                async with self._slots:
                    await self._pull(parsed, auths)

        self._silences.note(parsed.domain, why)  # asked now: nobody else need ask
        task = asyncio.get_running_loop().create_task(ask())
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _pull(self, parsed: Reference, auths: Mapping[str, str]) -> Record:
        request = {
            "root": str(self.store.root),
            "ref": str(parsed),
            "auths": dict(auths),
        }
        try:
            record = await self._work(PULLER, request, _quiet)
        except Failure as failure:
            if failure.kind == "unreachable":
                self._silences.note(parsed.domain, failure.message)
            else:
                self._silences.forget(parsed.domain)
            raise
        self._silences.forget(parsed.domain)
        return record

    async def _stand_in(self, ref: str, parsed: Reference, why: str, tell: Report) -> Record:
        """What serves for an image whose registry is silent: an earlier one, or the recipe's."""
        silent = f"registry {parsed.domain} could not be reached ({why})"
        record = self.store.find(str(parsed))
        if record is not None and not record.recipe:
            tell("Normal", "Pulled", f'Container image "{ref}" already present on machine')
            return record
        recipe = recipes.standing_in(parsed)
        if recipe is None:
            raise Failure("failed", f"{silent}, and {_unmade(parsed)}")
        record = record or self._built_before(recipe)
        if record is not None:
            record = await self._renewed(record, ref, tell)
        else:
            words = f'{_capital(silent)}: building image "{ref}" from recipe {recipe.name}'
            tell("Normal", "BuildingFromRecipe", words)
            record = await self._build(recipe.name, _quiet)
        record = self._tag(record, parsed)
        words = f'{_capital(silent)}: image "{ref}" was built from recipe {recipe.name}, that is '
        tell("Normal", "BuiltFromRecipe", f"{words}from the distribution's packages: {record.note}")
        return record

    async def _renewed(self, record: Record, ref: str, tell: Report) -> Record:
        """An image built from a recipe as that recipe is now; the old one if it must be."""
        recipe = recipes.newer(record.recipe, record.config.labels) if record.recipe else None
        if recipe is None:
            return record
        for other in self.store.records():
            if other.recipe == recipe.name and other.config.labels.get(ORIGIN) == recipe.origin:
                return self.store.take_over(other.id)
        loop = asyncio.get_running_loop()
        failed = self._rebuilt_badly.get(recipe.name)
        if failed is not None and loop.time() - failed < REBUILD_AGAIN_S:
            return record
        task = self._rebuilds.get(recipe.name)
        if task is None:
            task = self._rebuilds[recipe.name] = loop.create_task(self._build(recipe.name, _quiet))
            task.add_done_callback(lambda _: self._rebuilds.pop(recipe.name, None))
            task.add_done_callback(_hear)
        words = f'Recipe {recipe.name} has changed since image "{ref}" was built: building it again'
        tell("Normal", "BuildingFromRecipe", words)
        try:
            fresh = await asyncio.shield(task)
            if fresh.config.labels.get(ORIGIN) != recipe.origin:
                raise Failure("failed", "the build is of another version again")
            return fresh
        except (Failure, StoreError) as error:
            self._rebuilt_badly[recipe.name] = loop.time()
            words = f'Image "{ref}" could not be built again, the old one serves: {error}'
            tell("Warning", "BuildingFromRecipe", words)
            return record

    def _built_before(self, recipe: Recipe) -> Record | None:
        found = (r for r in self.store.records() if r.recipe == recipe.name)
        return next(found, None)

    def _tag(self, record: Record, parsed: Reference) -> Record:
        if str(parsed) in record.tags:
            return record
        return self.store.tag(record.id, str(parsed))

    async def _build(self, name: str, tell: Tell) -> Record:
        request = {"op": "build", "root": str(self.store.root), "recipe": name}
        return await self._work(WORKER, request, tell)

    async def _work(self, module: str, request: Mapping[str, object], tell: Tell) -> Record:
        try:
            ids = await self._run(module, request, tell)
        except asyncio.CancelledError:
            await asyncio.to_thread(self.store.sweep)
            raise
        record = self.store.find(ids[0])
        if record is None:
            raise Failure("failed", "the image was removed while it was made")
        return record


def _unmade(parsed: Reference) -> str:
    """Why no recipe serves for an image."""
    recipe = recipes.named(parsed)
    if recipe is None:
        return f"petset has no recipe for {parsed.name}"
    if parsed.digest:
        return "petset has no image of that digest"
    return (
        f"recipe {recipe.name} stands in for tags of releases only: "
        f"{parsed}: not found: manifest unknown"
    )


def _hear(task: "asyncio.Task[Any]") -> None:
    """Take note of a failure that nobody waits for any more."""
    if not task.cancelled():
        task.exception()


def _quiet(line: str) -> None:
    """Progress that nobody reads."""


def _normal(ref: str) -> str:
    try:
        return str(reference.parse(ref))
    except InvalidReferenceError:
        return ref


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _duration(seconds: float) -> str:
    """A duration as Go prints it, cut to milliseconds."""
    total_ms = int(seconds * 1000)
    if total_ms < 1000:
        return f"{total_ms}ms"
    minutes, rest_ms = divmod(total_ms, 60_000)
    text = f"{rest_ms / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


# The CLI's verbs. `root` is the store's folder; each raises ImageError.


async def build(root: Path, name: str, tell: Tell) -> Record:
    """Build recipe `name` (or the recipe in the folder of that path), afresh."""
    request = {"op": "build", "root": str(root), "recipe": name}
    return (await _verb(root, workers.run(WORKER, request, tell)))[0]


async def pull(root: Path, ref: str, tell: Tell) -> Record:
    """Pull `ref` from its registry; recipes are not looked at."""
    try:
        parsed = reference.parse(ref)
    except InvalidReferenceError as error:
        raise ImageError("InvalidImageName", f"{ref}: {error}") from None
    request = {"root": str(root), "ref": str(parsed), "auths": {}}
    return (await _verb(root, workers.run(PULLER, request, tell)))[0]


async def load(root: Path, file: Path, tell: Tell) -> list[Record]:
    """Take in the images of a `docker save` archive or an OCI layout in a tar file."""
    request = {"op": "load", "root": str(root), "file": str(file)}
    return await _verb(root, workers.run(WORKER, request, tell))


async def ls(root: Path) -> list[Record]:
    """Every image, newest first."""
    return Store(root).records()


async def rm(root: Path, ref: str, in_use: Collection[str] = ()) -> list[str]:
    """Remove a tag or image; returns what went. `in_use`: ids, or paths of layers."""
    try:
        return await asyncio.to_thread(Store(root).remove, ref, in_use)
    except InUseError as error:
        raise ImageError("ImageInUse", str(error)) from None
    except StoreError as error:
        raise ImageError("NotFound", str(error)) from None


async def _verb(root: Path, work: Awaitable[list[str]]) -> list[Record]:
    store = Store(root)
    try:
        ids = await work
    except Failure as failure:
        host = f"registry {failure.host} could not be reached: " if failure.host else ""
        raise ImageError("ErrImagePull", f"{host}{failure.message}") from None
    except asyncio.CancelledError:
        await asyncio.to_thread(store.sweep)
        raise
    return [record for record in map(store.find, ids) if record is not None]
