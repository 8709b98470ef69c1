"""The walk of `test_walk` with the Python client instead of kubectl, on real containers."""

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
import yaml
from kubernetes import client, config, stream, utils, watch
from kubernetes.client.exceptions import ApiException

from tests.e2e.conftest import ROOT, Cluster, eventually

WEB = ROOT / "examples" / "01-web" / "web.yaml"
DATA = "/usr/share/nginx/html/data"
NS = "default"
SELECTOR = "app=nginx"
NEW: Callable[..., Any] = cast(Any, config).new_client_from_config
CONNECT: Callable[..., Any] = cast(Any, stream).stream


@pytest.fixture(scope="module")
def api(cluster: Cluster) -> Iterator[Any]:
    with NEW(config_file=str(cluster.config)) as made:
        yield made


@pytest.fixture(scope="module")
def core(api: Any) -> Any:
    return client.CoreV1Api(api)


@pytest.fixture(scope="module")
def apps(api: Any) -> Any:
    return client.AppsV1Api(api)


def pods(core: Any) -> dict[str, Any]:
    return {p.metadata.name: p for p in core.list_namespaced_pod(NS, label_selector=SELECTOR).items}


def is_ready(pod: Any) -> bool:
    conditions = pod.status.conditions or []
    return pod.metadata.deletion_timestamp is None and any(
        c.type == "Ready" and c.status == "True" for c in conditions
    )


def ready(core: Any) -> list[str]:
    return sorted(name for name, pod in pods(core).items() if is_ready(pod))


def sh(core: Any, pod: str, script: str) -> str:
    opened = CONNECT(
        core.connect_get_namespaced_pod_exec,
        pod,
        NS,
        command=["sh", "-c", script],
        stdout=True,
        stderr=True,
        stdin=False,
        tty=False,
        _preload_content=False,
    )
    opened.run_forever(timeout=30)
    text = str(opened.read_all())
    close(opened)
    return text.strip()


def close(opened: Any) -> None:
    """The client's own `close` leaves the socket open when the server said goodbye first."""
    opened.close()
    opened.sock.shutdown()


def version(core: Any) -> str:
    """Of the pods as they are now, for a watch that shall miss nothing from here on."""
    return str(core.list_namespaced_pod(NS, label_selector=SELECTOR).metadata.resource_version)


def events(
    core: Any, until: Callable[[str, Any], object], since: str | None = None
) -> list[tuple[str, str]]:
    """What a watch on the pods tells, up to the event that `until` accepts."""
    watcher: Any = cast(Any, watch).Watch()
    seen: list[tuple[str, str]] = []
    more = {"resource_version": since} if since else {}
    told = watcher.stream(
        core.list_namespaced_pod, NS, label_selector=SELECTOR, timeout_seconds=90, **more
    )
    for event in told:
        pod = event["object"]
        seen.append((event["type"], pod.metadata.name))
        if until(event["type"], pod):
            watcher.stop()
            return seen
    raise AssertionError(f"the watch ended before it told: {seen}")


def test_create_starts_members_in_order_and_a_watch_tells(api: Any, core: Any) -> None:
    for document in yaml.safe_load_all(WEB.read_text()):
        cast(Any, utils).create_from_dict(api, document)
    seen = events(core, lambda kind, pod: pod.metadata.name == "web-2" and is_ready(pod))
    added = [name for kind, name in seen if kind == "ADDED"]
    assert added == ["web-0", "web-1", "web-2"]
    assert ready(core) == added
    claims = core.list_namespaced_persistent_volume_claim(NS).items
    assert {c.metadata.name: c.status.phase for c in claims} == {
        f"www-web-{i}": "Bound" for i in range(3)
    }


def test_exec_streams_output_and_input(core: Any) -> None:
    assert sh(core, "web-1", "hostname") == "web-1"
    opened = CONNECT(
        core.connect_get_namespaced_pod_exec,
        "web-0",
        NS,
        command=["sh"],
        stdin=True,
        stdout=True,
        stderr=True,
        tty=False,
        _preload_content=False,
    )
    opened.write_stdin("echo first; echo wrong >&2\n")
    assert opened.readline_stdout(timeout=20) == "first"
    assert opened.readline_stderr(timeout=20) == "wrong"
    opened.write_stdin("exit 3\n")
    opened.run_forever(timeout=20)
    assert opened.returncode == 3
    close(opened)


def test_names_and_logs(core: Any) -> None:
    page = sh(core, "web-2", "curl -s http://web-0.nginx/ || wget -qO- http://web-0.nginx/")
    assert "nginx" in page
    eventually(
        lambda: "GET / HTTP/1.1" in core.read_namespaced_pod_log("web-0", NS, tail_lines=5),
        "the request in the log",
    )
    watcher: Any = cast(Any, watch).Watch()
    for line in watcher.stream(core.read_namespaced_pod_log, "web-0", NS):
        if "GET / HTTP/1.1" in line:
            watcher.stop()


def test_deleted_member_comes_back_as_itself_with_its_file(core: Any) -> None:
    sh(core, "web-1", f"echo kept > {DATA}/note")
    before = core.read_namespaced_pod("web-1", NS).metadata.uid
    core.delete_namespaced_pod("web-1", NS)
    eventually(lambda: "web-1" in ready(core), "web-1 Ready again")
    assert core.read_namespaced_pod("web-1", NS).metadata.uid != before
    assert sh(core, "web-1", f"cat {DATA}/note") == "kept"


def test_scale_down_goes_from_the_highest_ordinal(core: Any, apps: Any) -> None:
    since = version(core)
    apps.patch_namespaced_stateful_set_scale("web", NS, {"spec": {"replicas": 1}})
    seen = events(core, lambda kind, pod: (kind, pod.metadata.name) == ("DELETED", "web-1"), since)
    assert [name for kind, name in seen if kind == "DELETED"] == ["web-2", "web-1"]
    scale = apps.read_namespaced_stateful_set_scale("web", NS)
    scale.metadata.resource_version = None  # the status may move in between
    scale.spec.replicas = 2
    apps.replace_namespaced_stateful_set_scale("web", NS, scale)
    eventually(lambda: ready(core) == ["web-0", "web-1"], "two members again")


def test_patch_rolls_the_members(core: Any, apps: Any) -> None:
    container = {"name": "nginx", "env": [{"name": "COLOUR", "value": "blue"}]}
    patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
    rolled = apps.patch_namespaced_stateful_set("web", NS, patch)
    wanted = rolled.metadata.generation

    def done() -> bool:
        status = apps.read_namespaced_stateful_set("web", NS).status
        rolled_out = status.current_revision == status.update_revision
        return bool(
            status.observed_generation >= wanted and rolled_out and status.ready_replicas == 2
        )

    eventually(done, "the new template everywhere", 90)
    assert sh(core, "web-0", "echo $COLOUR") == "blue"


def test_old_copy_cannot_overwrite_a_newer_one(apps: Any) -> None:
    mine = apps.read_namespaced_stateful_set("web", NS)
    apps.patch_namespaced_stateful_set("web", NS, {"metadata": {"labels": {"by": "other"}}})
    mine.spec.min_ready_seconds = 1
    with pytest.raises(ApiException) as caught:
        apps.replace_namespaced_stateful_set("web", NS, mine)
    assert (caught.value.status, caught.value.reason) == (409, "Conflict")


def test_delete_takes_the_pods_and_leaves_the_claims(core: Any, apps: Any) -> None:
    apps.delete_namespaced_stateful_set("web", NS, propagation_policy="Foreground")
    eventually(lambda: not pods(core), "no pod left")
    eventually(lambda: not apps.list_namespaced_stateful_set(NS).items, "the set is gone")
    with pytest.raises(ApiException) as caught:
        apps.read_namespaced_stateful_set("web", NS)
    assert caught.value.status == 404
    assert len(core.list_namespaced_persistent_volume_claim(NS).items) == 3
    core.delete_collection_namespaced_persistent_volume_claim(NS)
    eventually(lambda: not core.list_persistent_volume().items, "volumes reclaimed")
    core.delete_namespaced_service("nginx", NS)
