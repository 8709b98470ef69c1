"""Pods on a real node: life and end."""

from pathlib import Path

from petset.node import kernel
from tests.e2e.node_box import box, is_ready, needs_machine, pod_of, state_of

pytestmark = needs_machine


async def test_pod_runs_gets_an_address_and_goes(tmp_path: Path) -> None:
    async with box(tmp_path) as here:
        await here.create(pod_of("web-0", "echo hello; exec sleep 1000"))
        pod = await here.until("web-0", is_ready)
        assert pod["status"]["phase"] == "Running"
        assert pod["status"]["podIP"].startswith("10.")
        assert "running" in state_of(pod)
        assert here.log(pod) == "hello"
        await here.client.delete("pods", "web-0", "default")
        await here.gone("web-0")
        assert not kernel.mounts_below(here.run / "n0" / "c")
