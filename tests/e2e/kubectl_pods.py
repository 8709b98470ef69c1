"""Commands that start, move and stop pods: slow, so a few versions only."""

from tests.e2e.conftest import eventually
from tests.e2e.kubectl_player import Done, Player, Walk
from tests.e2e.kubectl_streams import in_terminal

PODS = Walk("Pods that come and go")
NODES = Walk("Nodes")
SET = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: set}
spec:
  serviceName: set
  replicas: 2
  selector: {matchLabels: {app: set}}
  template:
    metadata: {labels: {app: set}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: main, image: busybox, command: [sleep, "100000"]}]
"""
ROLLED = "--timeout=80s"


def pods(p: Player) -> list[str]:
    return p.run("get", "pods", "-l", "app=set", "-o", "name").out.split()


@PODS.step("create -f statefulset.yaml; rollout status")
def start(p: Player) -> None:
    p.run("create", "-f", "-", stdin=SET)
    p.run("rollout", "status", "sts/set", ROLLED).says(r"2 (new )?pods")
    assert pods(p) == ["pod/set-0", "pod/set-1"]


@PODS.step("scale --timeout")
def scale(p: Player) -> None:
    p.run("scale", "sts/set", "--replicas=3", "--timeout=60s").says("statefulset.apps/set scaled")
    p.run("rollout", "status", "sts/set", ROLLED)
    p.run("scale", "sts/set", "--replicas=1", "--timeout=60s").says("scaled")
    assert pods(p) == ["pod/set-0"]


@PODS.step("rollout restart, history, undo")
def roll(p: Player) -> None:
    p.run("rollout", "restart", "sts/set").says("restarted")
    p.run("rollout", "status", "sts/set", ROLLED)
    p.run("rollout", "history", "sts/set").says(r"^1 +\S+\n2 ")
    p.run("get", "pod", "set-0", "-o", "yaml").says("kubectl.kubernetes.io/restartedAt")
    p.run("rollout", "undo", "sts/set").says("rolled back")
    p.run("rollout", "status", "sts/set", ROLLED)
    done = p.run("get", "pod", "set-0", "-o", "yaml")
    done.must("restartedAt" not in done.out, "the old template again")
    p.run("rollout", "undo", "sts/set", "--to-revision=99", code=1).says("unable to find")


@PODS.step("set env rolls the pods")
def set_env(p: Player) -> None:
    p.run("set", "env", "sts/set", "COLOUR=red")
    p.run("rollout", "status", "sts/set", ROLLED)
    p.run("exec", "set-0", "--", "sh", "-c", "echo $COLOUR").says(r"^red$")


def replaced(p: Player, *words: str) -> Done:
    """Delete set-0 and wait until another one is ready: the set's status may tell of it late."""
    path = ["get", "pod", "set-0", "-o", "jsonpath={.metadata.uid}"]
    before = p.run(*path).out
    done = p.run("delete", "pod", "set-0", *words)
    eventually(lambda: p.run(*path, code=None).out not in ("", before), "another set-0")
    p.run("wait", "--for=condition=Ready", "pod/set-0", "--timeout=60s").says("condition met")
    return done


@PODS.step("delete pod --wait")
def delete_pod(p: Player) -> None:
    replaced(p, "--wait").says(r'^pod "set-0" deleted')


@PODS.step("delete pod --force --grace-period=0")
def delete_force(p: Player) -> None:
    replaced(p, "--force", "--grace-period=0").says(
        r"(?s)(?=.*Immediate deletion does not wait)(?=.*pod \"set-0\" force deleted)"
    )


@PODS.step("delete --now --wait=false")
def delete_now(p: Player) -> None:
    replaced(p, "--now", "--wait=false").says("deleted")


@PODS.step("delete sts --cascade=orphan")
def orphan(p: Player) -> None:
    p.run("delete", "sts", "set", "--cascade=orphan").says("deleted")
    assert pods(p) == ["pod/set-0"]
    done = p.run("get", "pod", "set-0", "-o", "yaml")
    done.must("ownerReferences" not in done.out, "no owner any more")
    p.run("create", "-f", "-", stdin=SET)
    p.run("rollout", "status", "sts/set", ROLLED)


@PODS.step("delete sts --cascade=foreground")
def foreground(p: Player) -> None:
    p.run("delete", "sts", "set", "--cascade=foreground").says("deleted")
    assert pods(p) == []


@PODS.step("run --restart=Never; logs -f")
def run_pod(p: Player) -> None:
    words = ["--image=busybox", "--restart=Never", "--", "sh", "-c", "echo one; sleep 1; echo two"]
    p.run("run", "brief", *words).says(r"^pod/brief created$")
    p.run("wait", "--for=jsonpath={.status.containerStatuses[0].started}", "pod/brief", code=None)
    eventually(lambda: p.run("logs", "brief", code=None).code == 0, "the pod has a log")
    p.run("logs", "-f", "brief").says(r"\Aone\ntwo\n\Z")
    p.run("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/brief", "--timeout=30s")


@PODS.step("run --rm -it")
def run_interactive(p: Player) -> None:
    words = ("run", "shell", "--rm", "-it", "--image=busybox", "--restart=Never", "--", "sh")
    code, text = in_terminal(p, words, "\necho he''llo\nexit 3\n", r"command prompt|[$#] ")
    assert "hello" in text, text
    assert code == 3, text
    assert 'pod "shell" deleted' in text, text


@PODS.step("run --rm -i, piped")
def run_piped(p: Player) -> None:
    words = ["run", "pipe", "--rm", "-i", "--image=busybox", "--restart=Never", "--", "wc", "-c"]
    p.run(*words, stdin="12345").says(r"(?s)5\n.*pod \"pipe\" deleted|5\n")


@PODS.step("run --attach")
def run_attach(p: Player) -> None:
    words = ["run", "loud", "--attach", "--image=busybox", "--restart=Never"]
    p.run(*words, "--", "sh", "-c", "sleep 1; echo loud; exit 4", code=4).says("loud")


@PODS.step("expose pod")
def expose(p: Player) -> None:
    p.run("run", "open", "--image=nginx", "--port=80", "--expose").says("service/open created")
    p.run("expose", "pod", "open", "--port=81", "--target-port=80", "--name=open2").says("exposed")
    p.run("wait", "--for=condition=Ready", "pod/open", "--timeout=60s")
    path = ["get", "endpointslices", "-l", "kubernetes.io/service-name=open2"]
    eventually(lambda: " 10." in p.run(*path).out, "an address in the slice")


@PODS.step("delete namespace with pods")
def delete_namespace(p: Player) -> None:
    p.run("delete", "namespace", p.namespace).says("deleted")


@NODES.step("cordon, uncordon")
def cordon(p: Player) -> None:
    p.run("cordon", "node-2").says("node/node-2 cordoned")
    p.run("get", "node", "node-2").says("SchedulingDisabled")
    p.run("uncordon", "node-2").says("node/node-2 uncordoned")


@NODES.step("taint")
def taint(p: Player) -> None:
    p.run("taint", "node", "node-2", "k=v:NoSchedule").says("tainted")
    p.run("describe", "node", "node-2").says(r"^Taints: +k=v:NoSchedule$")
    p.run("taint", "node", "node-2", "k:NoSchedule-").says("untainted")


@NODES.step("label node")
def label(p: Player) -> None:
    p.run("label", "node", "node-2", "disk=fast").says("labeled")
    p.run("get", "nodes", "-l", "disk=fast", "-o", "name").says(r"\Anode/node-2\n\Z")
    p.run("label", "node", "node-2", "disk-").says("unlabeled")


@NODES.step("drain")
def drain(p: Player) -> None:
    node = p.run("get", "pod", "web-1", "-o", "jsonpath={.spec.nodeName}").out
    p.run("drain", node, code=1).says("cannot delete .*[Pp]ods")
    p.run(
        "drain",
        node,
        "--force",
        "--ignore-daemonsets",
        "--delete-emptydir-data",
        "--dry-run=client",
    )
    p.run("uncordon", node)
    done = p.run("drain", node, "--pod-selector=app=web", "--timeout=60s")
    done.says(rf"(?s)evicting pod default/web-1.*node/{node} drained")
    p.run("uncordon", node).says("uncordoned")
    ready = ["wait", "--for=condition=Ready", "pod/web-0", "pod/web-1", "--timeout=60s"]
    eventually(lambda: p.run(*ready, code=None).code == 0, "both members again")
    p.run("rollout", "status", "sts/web", ROLLED)


@NODES.step("drain against a disruption budget")
def drain_budget(p: Player) -> None:
    node = p.run("get", "pod", "web-1", "-o", "jsonpath={.spec.nodeName}").out
    p.run("create", "pdb", "all", "--selector=app=web", "--min-available=2")
    path = ["get", "pdb", "all", "-o", "jsonpath={.status.observedGeneration}"]
    try:
        eventually(lambda: p.run(*path).out == "1", "the budget is counted")
        done = p.run("drain", node, "--pod-selector=app=web", "--timeout=2s", code=1)
        done.says("Cannot evict pod as it would violate the pod's disruption budget")
    finally:
        p.run("delete", "pdb", "all")
        p.run("uncordon", node)
