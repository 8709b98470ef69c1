"""The walk that README promises, with real kubectl on real containers."""

import json
import re
import subprocess

from tests.e2e.conftest import ROOT, Cluster, eventually, is_ready, kubectl_path

WEB = ROOT / "examples" / "01-web" / "web.yaml"
DATA = "/usr/share/nginx/html/data"
FULL = "web-0.nginx.default.svc.cluster.local"


def sh(cluster: Cluster, pod: str, script: str) -> str:
    return cluster.kubectl("exec", pod, "--", "sh", "-c", script).strip()


def test_apply_starts_members_in_order_with_names_and_volumes(cluster: Cluster) -> None:
    cluster.kubectl("apply", "-f", str(WEB))
    cluster.kubectl("rollout", "status", "sts/web", "--timeout=90s")
    pods = cluster.pods("nginx")
    assert sorted(pods) == ["web-0", "web-1", "web-2"]
    started = [pods[f"web-{i}"]["metadata"]["creationTimestamp"] for i in range(3)]
    assert started == sorted(started)
    table = cluster.kubectl("get", "pod")
    assert re.match(r"NAME +READY +STATUS +RESTARTS +AGE\n", table)
    assert re.search(r"web-0 +1/1 +Running +0 +(\d+[ms])+\n", table)
    services = cluster.kubectl("get", "svc")
    assert re.search(r"kubernetes +ClusterIP +10\.96\.0\.1 +<none> +443/TCP", services)
    assert re.search(r"nginx +ClusterIP +None +<none> +80/TCP", services)
    claims = cluster.kubectl("get", "pvc")
    for i in range(3):
        assert re.search(rf"www-web-{i} +Bound +pvc-\S+ +1Gi +RWO +standard", claims)


def test_names_resolve_inside_another_pod_and_nginx_answers(cluster: Cluster) -> None:
    address = cluster.pods("nginx")["web-0"]["status"]["podIP"]
    assert address in sh(cluster, "web-1", f"getent hosts {FULL} || nslookup {FULL}")
    page = sh(cluster, "web-2", f"curl -s http://{FULL}/ || wget -qO- http://{FULL}/")
    assert "nginx" in page
    assert sh(cluster, "web-1", "hostname") == "web-1"


def test_deleted_member_comes_back_as_itself_with_its_file(cluster: Cluster) -> None:
    sh(cluster, "web-1", f"echo kept > {DATA}/note")
    before = cluster.pods("nginx")["web-1"]
    cluster.kubectl("delete", "pod", "web-1")
    eventually(lambda: "web-1" in cluster.ready("nginx"), "web-1 Ready again")
    after = cluster.pods("nginx")["web-1"]
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert after["status"]["podIP"] != before["status"]["podIP"]
    assert sh(cluster, "web-1", f"cat {DATA}/note") == "kept"
    name = FULL.replace("web-0", "web-1")
    words = ("exec", "web-0", "--", "sh", "-c", f"getent hosts {name} || nslookup {name}")
    eventually(
        lambda: after["status"]["podIP"] in cluster.kubectl(*words, check=False),
        "its name leads to its new address",
    )


def test_scale_down_goes_from_the_highest_ordinal_one_at_a_time(cluster: Cluster) -> None:
    sh(cluster, "web-2", f"echo old > {DATA}/note")
    with Watch(cluster) as seen:
        cluster.kubectl("scale", "sts/web", "--replicas=1")
        eventually(lambda: list(cluster.pods("nginx")) == ["web-0"], "one pod left")
        eventually(lambda: ("DELETED", "web-1") in seen.events, "the watch tells of the last one")
    gone = [name for kind, name in seen.events if kind == "DELETED"]
    assert gone == ["web-2", "web-1"]
    assert seen.events.index(("DELETED", "web-2")) < seen.events.index(("LEAVING", "web-1"))
    assert len(cluster.json("get", "pvc")["items"]) == 3
    cluster.kubectl("scale", "sts/web", "--replicas=3")
    cluster.kubectl("rollout", "status", "sts/web", "--timeout=90s")
    assert sh(cluster, "web-2", f"cat {DATA}/note") == "old"


def test_lost_node_gives_its_member_to_another_node(cluster: Cluster) -> None:
    before = cluster.pods("nginx")["web-2"]
    node = before["spec"]["nodeName"]
    sh(cluster, "web-2", f"echo moved > {DATA}/note")
    cluster.petset("node", "kill", node, "--name", cluster.name)
    assert cluster.pods("nginx")["web-2"]["metadata"]["uid"] == before["metadata"]["uid"]
    cluster.petset("node", "remove", node, "--name", cluster.name)

    def moved() -> bool:
        pods = cluster.pods("nginx")
        fresh = "web-2" in pods and pods["web-2"]["metadata"]["uid"] != before["metadata"]["uid"]
        return fresh and len(pods) == 3 and all(map(is_ready, pods.values()))

    eventually(moved, "three members Ready on two nodes")
    after = cluster.pods("nginx")["web-2"]
    assert after["spec"]["nodeName"] != node
    assert sh(cluster, "web-2", f"cat {DATA}/note") == "moved"
    claim = {v["name"]: v for v in after["spec"]["volumes"]}["www"]
    assert claim["persistentVolumeClaim"]["claimName"] == "www-web-2"


def test_node_made_again_under_its_old_address_is_reached_at_once(cluster: Cluster) -> None:
    before = set(cluster.kubectl("get", "nodes", "-o", "name").split())
    config = str(cluster.config)
    cluster.petset("up", "--name", cluster.name, "--nodes", "3", "--kubeconfig", config)
    (fresh,) = set(cluster.kubectl("get", "nodes", "-o", "name").split()) - before
    node = fresh.removeprefix("node/")
    spec = {"nodeName": node, "containers": [{"name": "a", "image": "nginx"}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"}, "spec": spec}
    cluster.kubectl("create", "-f", "-", stdin=json.dumps(pod))
    cluster.kubectl("wait", "pod/probe", "--for=condition=Ready", "--timeout=60s")
    assert sh(cluster, "probe", "hostname") == "probe"
    page = sh(cluster, "probe", f"wget -qO- http://{FULL}/ || curl -s http://{FULL}/")
    assert "nginx" in page
    cluster.kubectl("delete", "pod", "probe")


def test_rolling_update_replaces_from_the_top_and_undo_goes_back(cluster: Cluster) -> None:
    cluster.kubectl("set", "env", "sts/web", "COLOUR=blue")
    cluster.kubectl("rollout", "status", "sts/web", "--timeout=90s")
    assert sh(cluster, "web-0", "echo $COLOUR") == "blue"
    assert len(cluster.kubectl("rollout", "history", "sts/web").strip().splitlines()) == 4
    cluster.kubectl("rollout", "undo", "sts/web")
    cluster.kubectl("rollout", "status", "sts/web", "--timeout=90s")
    assert sh(cluster, "web-0", "echo $COLOUR") == ""
    assert all(is_ready(p) for p in cluster.pods("nginx").values())


def test_logs_and_exit_codes_reach_kubectl(cluster: Cluster) -> None:
    sh(cluster, "web-1", "curl -s http://web-0.nginx/ || wget -qO- http://web-0.nginx/")
    eventually(
        lambda: "GET / HTTP/1.1" in cluster.kubectl("logs", "web-0"), "the request in the log"
    )
    out = cluster.kubectl("exec", "web-0", "--", "sh", "-c", "exit 3", check=False)
    assert "exit code 3" in out


def test_deleting_the_set_leaves_claims_and_nothing_running(cluster: Cluster) -> None:
    cluster.kubectl("delete", "-f", str(WEB))
    eventually(lambda: not cluster.pods("nginx"), "no pod left")
    assert len(cluster.json("get", "pvc")["items"]) == 3
    cluster.kubectl("delete", "pvc", "--all")
    eventually(lambda: not cluster.json("get", "pv")["items"], "volumes reclaimed")
    assert not list(cluster.where.volumes.glob("pvc-*"))


class Watch:
    """What happens to the pods of the set, as `kubectl get --watch` tells it."""

    def __init__(self, cluster: Cluster) -> None:
        self._config = str(cluster.config)
        self._told = cluster.config.parent / "watched"

    def __enter__(self) -> "Watch":
        words = ["get", "pods", "-l", "app=nginx", "-w", "--output-watch-events", "-o", "json"]
        with self._told.open("w") as told:
            self._process = subprocess.Popen(
                [kubectl_path(), "--kubeconfig", self._config, *words], stdout=told
            )
        eventually(lambda: self._told.stat().st_size > 0, "the list, after which the watch begins")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    @property
    def events(self) -> list[tuple[str, str]]:
        """What was told so far: pods that began to leave, and pods that are gone."""
        text = self._told.read_text()
        decoder, leaving = json.JSONDecoder(), set()
        found: list[tuple[str, str]] = []
        while text := text.strip():
            try:
                event, end = decoder.raw_decode(text)
            except ValueError:  # half of it is written
                break
            text = text[end:]
            meta = event["object"]["metadata"]
            if event["type"] == "DELETED":
                found.append(("DELETED", meta["name"]))
            elif "deletionTimestamp" in meta and meta["uid"] not in leaving:
                leaving.add(meta["uid"])
                found.append(("LEAVING", meta["name"]))
        return found
