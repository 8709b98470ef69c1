"""Volumes, environment, users and network of pods on a real node."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from petset.api.meta import MutableObj, Obj
from petset.node import kernel
from petset.node.runtime import teardown
from petset.node.volume import fence
from tests.e2e.node_box import Box, box, eventually, is_ready, needs_machine, pod_of, state_of

pytestmark = needs_machine


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Box]:
    async with box(tmp_path) as made:
        yield made


async def output(here: Box, script: str, **spec: Any) -> str:
    """What a pod that ends has written."""
    await here.create(pod_of("p", script, restartPolicy="Never", **spec))
    pod = await here.until("p", lambda p: p["status"]["phase"] in ("Succeeded", "Failed"))
    assert pod["status"]["phase"] == "Succeeded", here.log(pod)
    return here.log(pod)


async def make(here: Box, resource: str, kind: str, name: str, **rest: Any) -> MutableObj:
    obj = {"kind": kind, "apiVersion": "v1", "metadata": {"name": name}, **rest}
    return await here.client.create(resource, obj, "" if kind == "PersistentVolume" else "default")


def mounted(name: str, path: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "mountPath": path, **more}


async def test_files_of_config_maps_and_secrets(here: Box) -> None:
    await make(here, "configmaps", "ConfigMap", "cm", data={"a": "1", "b": "2"})
    await make(here, "secrets", "Secret", "s", data={"p": "c2VjcmV0"})
    found = await output(
        here,
        "cat /c/a /c/b /s/p; echo; stat -c %a /s/p; echo $A-$P; touch /c/x || echo read-only",
        container={
            "volumeMounts": [mounted("c", "/c"), mounted("s", "/s")],
            "env": [
                {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "a"}}},
                {"name": "P", "valueFrom": {"secretKeyRef": {"name": "s", "key": "p"}}},
            ],
        },
        volumes=[
            {"name": "c", "configMap": {"name": "cm"}},
            {"name": "s", "secret": {"secretName": "s", "defaultMode": 0o400}},
        ],
    )
    assert found.splitlines()[0] == "12secret"
    assert "1-secret" in found
    assert "read-only" in found


async def test_mounted_content_follows_its_object(here: Box) -> None:
    await make(here, "configmaps", "ConfigMap", "cm", data={"a": "old"})
    await here.create(
        pod_of(
            "p",
            "while test $(cat /c/a) = old; do sleep 0.05; done; cat /c/a; exec sleep 1000",
            container={"volumeMounts": [mounted("c", "/c")]},
            volumes=[{"name": "c", "configMap": {"name": "cm"}}],
        )
    )
    pod = await here.until("p", is_ready)
    await here.client.patch("configmaps", "cm", {"data": {"a": "new"}}, "default")
    await eventually(lambda: here.log(pod) == "new")


async def test_user_groups_and_group_of_volumes(here: Box) -> None:
    found = await output(
        here,
        "id -u; id -g; id -G; touch /w/f && stat -c %g /w/f",
        container={"volumeMounts": [mounted("w", "/w")]},
        securityContext={
            "runAsUser": 101,
            "runAsGroup": 77,
            "supplementalGroups": [88],
            "fsGroup": 99,
        },
        volumes=[{"name": "w", "emptyDir": {}}],
    )
    uid, gid, groups, owner = found.splitlines()
    assert (uid, gid, owner) == ("101", "77", "99")
    assert {"77", "88", "99"} <= set(groups.split())


async def test_read_only_root_and_privileges(here: Box) -> None:
    context = {"readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False}
    read = "while read k v; do case $k in NoNewPrivs:) echo nnp $v;; esac; done"
    script = f"touch /x 2>/dev/null || echo refused; {read} < /proc/self/status"
    found = await output(here, script, container={"securityContext": context})
    assert found == "refused\nnnp 1"


async def test_root_is_refused_where_asked(here: Box) -> None:
    context = {"securityContext": {"runAsNonRoot": True}}
    await here.create(pod_of("p", container=context))

    def told(pod: Obj) -> bool:
        waiting = state_of(pod).get("waiting") or {}
        return waiting.get("reason") == "CreateContainerConfigError"

    pod = await here.until("p", told)
    assert "runAsNonRoot" in state_of(pod)["waiting"]["message"]


async def test_names_and_files_of_the_pod(here: Box) -> None:
    script = "hostname; cat /etc/hosts /etc/resolv.conf; echo $IP; echo $HOSTNAME"
    env = [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]
    found = await output(here, script, hostname="web-0", subdomain="nginx", container={"env": env})
    lines = found.splitlines()
    assert lines[0] == lines[-1] == "web-0"
    assert any("web-0.nginx.default.svc.cluster.local" in line for line in lines)
    assert "nameserver 10.96.0.10" in lines
    assert lines[-2].startswith("10.")


async def test_host_network_pods_have_the_nodes_address(here: Box) -> None:
    await here.create(pod_of("p", hostNetwork=True))
    pod = await here.until("p", is_ready)
    assert pod["status"]["podIP"] == pod["status"]["hostIP"] == here.network.node_address(0)


async def test_pods_reach_each_other_and_themselves(here: Box) -> None:
    serves = {"readinessProbe": {"httpGet": {"port": 80, "path": "/i"}}}
    await here.create(pod_of("a", "echo hi > /i; exec httpd -f -p 80 -h /", container=serves))
    pod = await here.until("a", is_ready)
    url = f"http://{pod['status']['podIP']}/i"
    assert await output(here, f"wget -qO- {url}; wget -qO- {url}") == "hi\nhi"


async def test_a_host_port_leads_to_the_pod(here: Box) -> None:
    port = {"containerPort": 80, "hostPort": 8099}
    serves = {"httpGet": {"port": 80, "path": "/i"}}
    container = {"ports": [port], "readinessProbe": serves}
    await here.create(pod_of("a", "echo hi > /i; exec httpd -f -p 80 -h /", container=container))
    await here.until("a", is_ready)
    node = here.network.node_address(0)
    assert await output(here, f"wget -qO- http://{node}:8099/i") == "hi"


async def test_sub_paths_and_host_paths(here: Box, tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()
    (tmp_path / "host/f").write_text("from host")
    found = await output(
        here,
        "cat /h/f; echo x > /w/f; ls /all/sub",
        container={
            "volumeMounts": [
                mounted("h", "/h", readOnly=True),
                mounted("w", "/w", subPath="sub"),
                mounted("w", "/all"),
            ]
        },
        volumes=[
            {"name": "h", "hostPath": {"path": str(tmp_path / "host"), "type": "Directory"}},
            {"name": "w", "emptyDir": {}},
        ],
    )
    assert found == "from hostf"


async def told(here: Box, name: str, words: str) -> None:
    """Wait for an event."""
    async with asyncio.timeout(30):
        while not any(words in message for _, message in await here.events(name)):
            await asyncio.sleep(0.05)


async def claim(here: Box, directory: Path) -> None:
    """A bound claim `data` on `directory`."""
    access = {"accessModes": ["ReadWriteOnce"]}
    size = {"storage": "1Gi"}
    made = await make(
        here,
        "persistentvolumeclaims",
        "PersistentVolumeClaim",
        "data",
        spec={**access, "resources": {"requests": size}, "volumeName": "pv"},
    )
    reference = {"namespace": "default", "name": "data", "uid": made["metadata"]["uid"]}
    source = {"path": str(directory), "type": "DirectoryOrCreate"}
    spec = {**access, "capacity": size, "hostPath": source, "claimRef": reference}
    await make(here, "persistentvolumes", "PersistentVolume", "pv", spec=spec)
    patch = {"status": {"phase": "Bound"}}
    await here.client.patch(
        "persistentvolumeclaims", "data", patch, "default", subresource="status"
    )


def with_claim(name: str, node: str, script: str) -> MutableObj:
    pod = pod_of(
        name,
        script,
        container={"volumeMounts": [mounted("d", "/d")]},
        volumes=[{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}],
    )
    pod["spec"]["nodeName"] = node
    return pod


async def test_two_nodes_never_use_a_claim_at_once(here: Box, tmp_path: Path) -> None:
    await here.start(1)
    await claim(here, tmp_path / "data")
    await here.create(with_claim("web-0", "n0", "echo one >> /d/f; exec sleep 1000"))
    await here.until("web-0", is_ready)
    file = tmp_path / "data/f"
    await eventually(lambda: file.exists() and file.read_text() == "one\n")
    record = teardown._records(here.state / "nodes/n0")[0]
    await here.stop(0)  # the node is cut off; its container lives on
    await here.client.delete("pods", "web-0", "default", grace_s=0)
    await here.create(with_claim("web-0", "n1", "echo two >> /d/f; exec sleep 1000"))
    await told(here, "web-0", "still in use by pod default/web-0")
    assert kernel.is_alive(record.pid, record.ticks)
    assert (tmp_path / "data/f").read_text() == "one\n"
    teardown.kill_node(here.run / "n0", here.state / "nodes/n0")
    await here.until("web-0", is_ready)
    await eventually(lambda: (tmp_path / "data/f").read_text() == "one\ntwo\n")
    assert fence.file_of(tmp_path / "data").exists()


async def test_the_cut_off_node_does_not_start_again_what_it_lost(
    here: Box, tmp_path: Path
) -> None:
    """The other way round: a node whose pod died while it was away finds its volume taken."""
    await here.start(1)
    await claim(here, tmp_path / "data")
    await here.create(with_claim("web-0", "n0", "exec sleep 1000"))
    await here.until("web-0", is_ready)
    record = teardown._records(here.state / "nodes/n0")[0]
    await here.stop(0)
    os.kill(record.pid, 9)
    await eventually(lambda: not kernel.is_alive(record.conmon_pid, record.conmon_ticks))
    await here.client.delete("pods", "web-0", "default", grace_s=0)
    await here.create(with_claim("web-0", "n1", "exec sleep 1000"))
    await here.until("web-0", is_ready)
    await here.start(0)
    await eventually(lambda: not list((here.state / "nodes/n0/pods").iterdir()))
    assert len(teardown._records(here.state / "nodes/n1")) == 1
