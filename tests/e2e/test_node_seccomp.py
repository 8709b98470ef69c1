"""Compiled seccomp filters are those that crun would have made."""

import json
import platform
import shutil
import uuid
from pathlib import Path
from typing import Any

import pytest

from petset.node.runtime import bpf, cgroup, probe, process, seccomp
from tests.e2e.node_box import make_layer, missing

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(bool(missing()), reason=missing() or "-"),
    pytest.mark.skipif(shutil.which("crun") is None, reason="crun is not installed"),
]
CAPABILITIES = ["CAP_CHOWN", "CAP_SYS_ADMIN"]


def configuration(root: Path, profile: dict[str, Any]) -> dict[str, Any]:
    return {
        "ociVersion": "1.0.2",
        "root": {"path": str(root)},
        "process": {"args": ["/bin/sh"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "linux": {
            "namespaces": [{"type": kind} for kind in ("pid", "mount", "network", "ipc")],
            "seccomp": profile,
        },
    }


@pytest.mark.parametrize("source", [None, probe.seccomp_profile()], ids=["own", "distribution"])
async def test_our_filter_is_byte_for_byte_the_one_that_crun_makes(
    tmp_path: Path, source: dict[str, Any] | None
) -> None:
    profile = seccomp.profile(source, platform.machine(), CAPABILITIES)
    make_layer(tmp_path / "rootfs")
    (tmp_path / "rootfs" / "proc").mkdir(exist_ok=True)
    (tmp_path / "config.json").write_text(json.dumps(configuration(tmp_path / "rootfs", profile)))
    name = "t" + uuid.uuid4().hex[:8]
    found = await probe.find(tmp_path, f"/petset/{name}")
    cgroup.remove(f"/petset/{name}")
    if found.name != "crun":
        pytest.skip("crun does not work here")
    base = [found.program, "--root", str(tmp_path / "state")]
    try:
        done = await process.run([*base, "create", "--bundle", str(tmp_path), name])
        assert done.code == 0, done.errors
        theirs = (tmp_path / "state" / name / "seccomp.bpf").read_bytes()
    finally:
        await process.run([*base, "delete", "-f", name])
    assert bpf.compiled(profile) == theirs
