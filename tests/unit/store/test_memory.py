from pathlib import Path

import pytest

from petset.base.loopclock import LoopClock
from petset.store.drivers.memory import MemoryDriver, MemoryStore
from petset.store.drivers.types import Driver
from petset.store.types import Item
from petset.store.worker import Inline, Worker
from petset.testing.clock import run_virtual
from tests.unit.store.suite import StoreSuite


class TestMemory(StoreSuite):
    @pytest.fixture(autouse=True)
    def _disks(self) -> None:
        self.disks: dict[Path, MemoryDriver] = {}

    def driver(self, data: Path) -> Driver:
        return self.disks.setdefault(data, MemoryDriver())

    def worker(self) -> Worker:
        return Inline()


def test_a_memory_store_needs_no_real_time() -> None:
    async def main() -> Item:
        store = MemoryStore(LoopClock())
        item = await store.put("pods/default/a", lambda revision: b"x", expect=0)
        await store.close()
        return item

    assert run_virtual(main()) == Item("pods/default/a", 1, 1, b"x")
