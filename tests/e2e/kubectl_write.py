"""Commands that change and delete; none of them needs a pod."""

from tests.e2e.conftest import eventually
from tests.e2e.kubectl_create import CM, editor
from tests.e2e.kubectl_player import Player, Walk

CHANGE = Walk("Changing")
REMOVE = Walk("Waiting and deleting")

SETS = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: idle}
spec:
  serviceName: idle
  replicas: 0
  selector: {matchLabels: {app: idle}}
  template:
    metadata: {labels: {app: idle}}
    spec:
      containers: [{name: main, image: busybox, command: [sleep, "1"]}]
  volumeClaimTemplates:
  - %s
    spec:
      accessModes: [ReadWriteOnce]
      resources: {requests: {storage: 1Gi}}
%s"""
SHORT = SETS % ("metadata: {name: data}", "")
WHOLE = SETS % (
    "apiVersion: v1\n    kind: PersistentVolumeClaim\n    metadata: {name: data}",
    "      volumeMode: Filesystem\n    status: {phase: Pending}\n",
)

LIST = """
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: listed}}
- apiVersion: apps/v1
  kind: StatefulSet
  metadata: {name: listed}
  spec:
    %s: listed
    replicas: %d
    selector: {matchLabels: {app: listed}}
    template:
      metadata: {labels: {app: listed}}
      spec:
        containers: [{name: main, image: busybox, resources: {limits: {cpu: 1}}}]
"""


@CHANGE.step("apply -f")
def apply(p: Player) -> None:
    for value, word in (("1", "created"), ("1", "unchanged"), ("2", "configured")):
        done = p.run("apply", "-f", "-", stdin=CM % ("applied", "x", value))
        done.says(rf"^configmap/applied {word}$")
    p.run("get", "cm", "applied", "-o", "jsonpath={.data.a}").says(r"\A2\Z")


@CHANGE.step("apply removes what the manifest no longer says")
def apply_removes(p: Player) -> None:
    text = CM % ("shrinking", "x", "1")
    p.run("apply", "-f", "-", stdin=text + "immutable: false\n")
    p.run("apply", "-f", "-", stdin=text.replace("{a:", "{b:")).says("configured")
    p.run("get", "cm", "shrinking", "-o", "jsonpath={.data}").says(r'\A\{"b":"1"\}\Z')


@CHANGE.step("apply -f statefulset.yaml, twice")
def apply_set(p: Player) -> None:
    """Says `configured` each time, as upstream: claim templates are an atomic list in a patch."""
    p.file("short.yaml", SHORT)
    p.run("apply", "-f", "short.yaml").says("created")
    path = ["get", "sts", "idle", "-o", "jsonpath={.metadata.generation} {.metadata.annotations}"]
    before = p.run(*path).out
    p.run("apply", "-f", "short.yaml").says(r"^statefulset\.apps/idle configured$")
    assert p.run(*path).out == before
    p.run("diff", "-f", "short.yaml").says(r"\A\Z")


@CHANGE.step("apply -f statefulset.yaml with its defaults written out, twice")
def apply_whole_set(p: Player) -> None:
    p.run("apply", "-f", "-", stdin=WHOLE)
    p.run("apply", "-f", "-", stdin=WHOLE).says(r"^statefulset\.apps/idle unchanged$")


@CHANGE.step("apply --server-side")
def apply_server_side(p: Player) -> None:
    words = ["apply", "--server-side", "-f", "-"]
    for _ in range(2):
        done = p.run(*words, stdin=CM % ("ssa", "x", "1"))
        done.says(r"^configmap/ssa serverside-applied$")
    p.run("get", "cm", "ssa", "-o", "yaml", "--show-managed-fields").says("operation: Apply")
    p.run("diff", "--server-side", "-f", "-", stdin=CM % ("ssa", "x", "1")).says(r"\A\Z")


@CHANGE.step("apply --server-side, conflict and --force-conflicts")
def apply_conflict(p: Player) -> None:
    words = ["apply", "--server-side", "--field-manager=other", "-f", "-"]
    text = CM % ("ssa", "x", "2")
    p.run(*words, stdin=text, code=1).says(
        r'Apply failed with 1 conflict: conflict with "kubectl": \.data\.a'
    )
    p.run(*words, "--force-conflicts", stdin=text).says("serverside-applied")
    p.run("get", "cm", "ssa", "-o", "jsonpath={.data.a}").says(r"\A2\Z")


@CHANGE.step("apply --server-side of what was applied by the client")
def apply_migrate(p: Player) -> None:
    p.run("apply", "-f", "-", stdin=CM % ("moved", "x", "1"))
    words = ["apply", "--server-side", "-f", "-"]
    p.run(*words, stdin=CM % ("moved", "x", "2")).says("serverside-applied")
    p.run("get", "cm", "moved", "-o", "jsonpath={.data.a}").says(r"\A2\Z")


@CHANGE.step("apply --dry-run=server")
def apply_dry(p: Player) -> None:
    p.run("apply", "--dry-run=server", "-f", "-", stdin=CM % ("dry", "x", "1")).says(
        r"^configmap/dry created \(server dry run\)$"
    )
    p.run("get", "cm", "dry", code=1).says("not found")


@CHANGE.step("apply --dry-run=client")
def apply_dry_client(p: Player) -> None:
    done = p.run("apply", "--dry-run=client", "-f", "-", stdin=CM % ("dry", "x", "1"))
    done.says(r"^configmap/dry created \(dry run\)$")
    p.run("get", "cm", "dry", code=1).says("not found")


@CHANGE.step("apply -f list.yaml (kind: List)")
def apply_list(p: Player) -> None:
    p.file("list.yaml", LIST % ("serviceName", 0))
    p.run("apply", "-f", "list.yaml").says(r"^configmap/listed created\nstatefulset.apps/listed c")
    p.run("apply", "-f", "list.yaml").says(r"^configmap/listed unchanged$")
    p.file("list.yaml", LIST % ("serviceNam", 0))
    p.run("apply", "-f", "list.yaml", code=1).says('unknown field "serviceNam"')
    p.file("list.yaml", LIST % ("serviceName", 1))
    p.run("apply", "-f", "list.yaml", "--dry-run=server").says("statefulset.apps/listed configured")
    p.run("delete", "-f", "list.yaml").says("deleted")


@CHANGE.step("apply --validate=strict, --validate=warn, --validate=ignore")
def apply_validate(p: Player) -> None:
    words, wrong = ["apply", "-f", "-"], (CM % ("checked", "x", "1")) + "bogus: 1\n"
    p.run(*words, "--validate=strict", stdin=wrong, code=1).says('unknown field "bogus"')
    p.run(*words, "--validate=warn", stdin=wrong).says('Warning: unknown field "bogus"')
    quiet = p.run(*words, "--validate=ignore", stdin=wrong)
    quiet.must("bogus" not in quiet.all, "is quiet")
    p.run("delete", "cm", "checked")


@CHANGE.step("apply --prune -l")
def apply_prune(p: Player) -> None:
    both = (CM % ("kept", "pruned", "1")) + "---\n" + (CM % ("lost", "pruned", "1"))
    words = ["apply", "--prune", "-l", "set=pruned", "--prune-allowlist=core/v1/ConfigMap"]
    p.run(*words, "-f", "-", stdin=both)
    p.run(*words, "-f", "-", stdin=CM % ("kept", "pruned", "1")).says("configmap/lost pruned")


@CHANGE.step("apply view-last-applied, set-last-applied, edit-last-applied")
def last_applied(p: Player) -> None:
    p.run("apply", "view-last-applied", "cm/applied").says(r'^  a: "?2"?$|a: 2')
    p.file("last.yaml", CM % ("one", "x", "9"))
    p.run("apply", "set-last-applied", "-f", "last.yaml", "--create-annotation").says("configured")
    p.run("apply", "edit-last-applied", "cm/one", env=editor(p, "a", '"8"')).says("edited")
    p.run("apply", "view-last-applied", "cm/one").says('a: "?8"?')


@CHANGE.step("apply -k")
def apply_kustomize(p: Player) -> None:
    p.run("apply", "-k", "app").says(r"^configmap/k-made created$")
    p.run("diff", "-k", "app").says(r"\A\Z")
    p.run("delete", "-k", "app").says(r'^configmap "k-made" deleted')


@CHANGE.step("apply --force of an immutable field")
def apply_force(p: Player) -> None:
    text = SHORT.replace("serviceName: idle", "serviceName: other")
    p.run("apply", "-f", "-", stdin=text, code=1).says(
        r"spec: Forbidden: updates to statefulset spec for fields other than"
    )
    p.run("apply", "--force", "-f", "-", stdin=text).says("statefulset.apps/idle")
    p.run("get", "sts", "idle", "-o", "jsonpath={.spec.serviceName}").says(r"^other$")


@CHANGE.step("diff -f")
def diff(p: Player) -> None:
    p.run("diff", "-f", "-", stdin=CM % ("applied", "x", "2")).says(r"\A\Z")
    p.run("diff", "-f", "-", stdin=CM % ("applied", "x", "3"), code=1).says(r'^\+ +a: "?3')
    p.run("diff", "-f", "-", stdin=CM % ("nowhere", "x", "3"), code=1).says(r"^\+kind: ConfigMap")


@CHANGE.step("replace -f")
def replace(p: Player) -> None:
    p.run("replace", "-f", "-", stdin=CM % ("one", "x", "5")).says("configmap/one replaced")
    p.run("replace", "-f", "-", stdin=CM % ("nowhere", "x", "5"), code=1).says("NotFound")
    p.run("get", "cm", "one", "-o", "jsonpath={.data.a}").says(r"\A5\Z")


@CHANGE.step("replace --force -f")
def replace_force(p: Player) -> None:
    path = ["get", "cm", "one", "-o", "jsonpath={.metadata.uid}"]
    before = p.run(*path).out
    done = p.run("replace", "--force", "-f", "-", stdin=CM % ("one", "x", "6"))
    done.says(r"(?s)deleted.*configmap/one replaced")
    assert p.run(*path).out != before


@CHANGE.step("edit")
def edit(p: Player) -> None:
    p.run("edit", "cm", "one", env=editor(p, "a", '"7"')).says("configmap/one edited")
    p.run("edit", "cm", "one", env=editor(p, "a", '"7"')).says("no changes made")
    p.run("get", "cm", "one", "-o", "jsonpath={.data.a}").says(r"\A7\Z")


@CHANGE.step("edit --subresource=status")
def edit_status(p: Player) -> None:
    words = ["edit", "sts", "idle", "--subresource=status"]
    p.run(*words, env=editor(p, "collisionCount", "7")).says("idle edited")
    p.run("get", "sts", "idle", "-o", "jsonpath={.status.collisionCount}").says(r"\A7\Z")


@CHANGE.step("patch --type=strategic")
def patch_strategic(p: Player) -> None:
    main = '{"name":"main","env":[{"name":"A","value":"1"}]}'
    body = f'{{"spec":{{"template":{{"spec":{{"containers":[{main}]}}}}}}}}'
    p.run("patch", "sts", "idle", "-p", body).says(r"^statefulset\.apps/idle patched$")
    # Its status is the controller's, and told late.
    p.run("rollout", "status", "sts/idle", "--timeout=60s")
    p.run("patch", "sts", "idle", "-p", body).says(r"patched \(no change\)$")
    p.run("get", "sts", "idle", "-o", "jsonpath={..image} {..env}").says(r'busybox .*"name":"A"')


@CHANGE.step("patch --type=merge")
def patch_merge(p: Player) -> None:
    p.run("patch", "cm", "one", "--type=merge", "-p", '{"data":{"a":null,"b":"1"}}').says("patched")
    p.run("get", "cm", "one", "-o", "jsonpath={.data}").says(r'\A\{"b":"1"\}\Z')


@CHANGE.step("patch --type=json")
def patch_json(p: Player) -> None:
    good = '[{"op":"test","path":"/data/b","value":"1"},{"op":"add","path":"/data/c","value":"2"}]'
    p.run("patch", "cm", "one", "--type=json", "-p", good).says("patched")
    bad = '[{"op":"test","path":"/data/b","value":"x"}]'
    done = p.run("patch", "cm", "one", "--type=json", "-p", bad, code=1)
    done.says(r"The request is invalid: the server rejected our request due to an error")


@CHANGE.step("patch --subresource=status")
def patch_status(p: Player) -> None:
    words = ["patch", "sts", "idle", "--subresource=status", "--type=merge", "-p"]
    p.run(*words, '{"status":{"collisionCount":9}}').says("patched")
    p.run(*words, '{"spec":{"replicas":5}}').says("patched")
    path = "jsonpath={.spec.replicas}"
    p.run("get", "sts", "idle", "-o", path).says(r"\A0\Z")


@CHANGE.step("label")
def label(p: Player) -> None:
    p.run("label", "cm", "one", "k=v").says("configmap/one labeled")
    p.run("label", "cm", "one", "k=w", code=1).says("already has a value")
    p.run("label", "cm", "one", "k=w", "--overwrite").says("labeled")
    p.run("label", "cm", "one", "--list").says(r"^k=w$")
    p.run("label", "cm", "-l", "k=w", "m=n").says("labeled")
    p.run("label", "cm", "one", "k-").says("unlabeled")


@CHANGE.step("annotate")
def annotate(p: Player) -> None:
    p.run("annotate", "cm", "one", "k=v v").says("configmap/one annotate")
    p.run("annotate", "cm", "one", "--list").says(r"^k=v v$")
    p.run("annotate", "cm", "one", "k-").says("configmap/one annotate")


@CHANGE.step("set image")
def set_image(p: Player) -> None:
    p.run("set", "image", "sts/idle", "main=nginx").says("image updated")
    p.run("set", "image", "sts/idle", "none=nginx", code=1).says("unable to find container")
    p.run("get", "sts", "idle", "-o", "jsonpath={..image}").says(r"\Anginx\Z")


@CHANGE.step("set env")
def set_env(p: Player) -> None:
    p.run("set", "env", "sts/idle", "COLOUR=red", "A-").says("env updated")
    p.run("set", "env", "sts/idle", "--list").says(r"^COLOUR=red$")
    p.run("set", "env", "sts/idle", "--from=configmap/one").says("env updated")
    p.run("set", "env", "sts/idle", "--list").says(r"configmap one")


@CHANGE.step("set resources")
def set_resources(p: Player) -> None:
    p.run("set", "resources", "sts/idle", "--limits=cpu=1,memory=64Mi").says("requirements updated")
    p.run("get", "sts", "idle", "-o", "jsonpath={..limits}").says('"memory":"64Mi"')


@CHANGE.step("set selector")
def set_selector(p: Player) -> None:
    p.run("set", "selector", "svc/c", "app=other").says("selector updated")


@CHANGE.step("set serviceaccount")
def set_account(p: Player) -> None:
    p.run("set", "serviceaccount", "sts/idle", "a").says("serviceaccount updated")


@CHANGE.step("set subject")
def set_subject(p: Player) -> None:
    p.run("set", "subject", "rolebinding", "rb", "--user=v").says("subjects updated")


@CHANGE.step("scale --current-replicas")
def scale_current(p: Player) -> None:
    p.run("scale", "sts/idle", "--replicas=0", "--current-replicas=3", code=1).says(
        "Expected replicas to be 3, was 0"
    )
    p.run("scale", "deploy/dep", "--replicas=0", "--current-replicas=0").says("scaled")


@CHANGE.step("expose svc")
def expose_service(p: Player) -> None:
    p.run("expose", "svc", "c", "--port=81", "--target-port=8080", "--name=c2").says(
        "service/c2 exposed"
    )
    p.run("expose", "deploy", "dep", "--port=80", "--name=c3").says("service/c3 exposed")


@CHANGE.step("autoscale")
def autoscale(p: Player) -> None:
    done = p.run("autoscale", "sts", "idle", "--max=3", "--name=auto", code=None)
    if done.code:
        p.refused("autoscale", "sts", "idle", "--max=3", says=r"petset does not support .*")
    done.says("autoscaled")


@CHANGE.step("auth reconcile")
def auth_reconcile(p: Player) -> None:
    role = p.run("get", "role", "r", "-o", "yaml").out
    p.run("auth", "reconcile", "-f", "-", stdin=role).says(
        r"rbac.authorization.k8s.io/r reconciled"
    )


@CHANGE.step("rollout pause, resume")
def pause(p: Player) -> None:
    p.run("rollout", "pause", "deploy/dep").says("paused")
    p.run("rollout", "resume", "deploy/dep").says("resumed")
    p.run("rollout", "pause", "sts/idle", code=1).says("pausing is not supported")


@REMOVE.step("delete NAME")
def delete_name(p: Player) -> None:
    p.run("delete", "cm", "one").says(r'^configmap "one" deleted')
    p.run("delete", "cm", "one", code=1).says("not found")
    p.run("delete", "cm", "one", "--ignore-not-found").says(r"\A\Z")


@REMOVE.step("delete -f")
def delete_file(p: Player) -> None:
    p.run("delete", "-f", "cm.yaml").says(r'^configmap "filed" deleted')


@REMOVE.step("delete -l")
def delete_label(p: Player) -> None:
    p.run("delete", "cm", "-l", "set=pruned").says(r'^configmap "kept" deleted')


@REMOVE.step("delete --dry-run=server")
def delete_dry(p: Player) -> None:
    p.run("delete", "cm", "in-1", "--dry-run=server").says(r"deleted .*\(server dry run\)")
    p.run("get", "cm", "in-1").says("in-1")


@REMOVE.step("delete --cascade=orphan, background, foreground")
def cascades(p: Player) -> None:
    words = ["get", "controllerrevisions", "-l", "app=idle", "-o", "name"]
    p.run(*words).says("controllerrevision")
    p.run("delete", "sts", "idle", "--cascade=orphan").says("deleted")
    p.run(*words).says("controllerrevision")
    p.run("apply", "-f", "short.yaml")
    owners = ["get", "controllerrevisions", "-l", "app=idle"]
    owners += ["-o", "jsonpath={range .items[*]}{.metadata.ownerReferences[*].name},{end}"]
    eventually(
        lambda: set(p.run(*owners).out.rstrip(",").split(",")) == {"idle"}, "all adopted again"
    )
    p.run("delete", "sts", "idle", "--cascade=foreground").says("deleted")
    p.run("get", "controllerrevisions", "-l", "app=idle", "-o", "name").says(r"\A\Z")


@REMOVE.step("delete --all")
def delete_all(p: Player) -> None:
    p.run("delete", "cm", "--all").says(r'^configmap "in-1" deleted')


@REMOVE.step("delete --raw")
def delete_raw(p: Player) -> None:
    p.run("create", "cm", "raw")
    path = f"/api/v1/namespaces/{p.namespace}/configmaps/raw"
    p.run("delete", "--raw", path).says('"status":"Success"')


@REMOVE.step("delete -i", since="1.28")
def delete_interactive(p: Player) -> None:
    p.run("create", "cm", "asked")
    p.run("delete", "-i", "cm", "asked", stdin="n\n", code=None).says("cancelled")
    p.run("delete", "-i", "cm", "asked", stdin="y\n").says('"asked" deleted')


@REMOVE.step("wait --for=delete")
def wait_delete(p: Player) -> None:
    p.run("create", "cm", "leaving")
    with p.running("wait", "--for=delete", "cm/leaving") as waiting:
        p.run("delete", "cm", "leaving")
        assert waiting.end() == 0


@REMOVE.step("wait --for=create", since="1.31")
def wait_create(p: Player) -> None:
    with p.running("wait", "--for=create", "cm/coming", "--timeout=20s") as waiting:
        p.run("create", "cm", "coming")
        assert waiting.end() == 0


@REMOVE.step("wait --for=jsonpath --timeout")
def wait_field(p: Player) -> None:
    p.run("create", "cm", "field", "--from-literal=a=b")
    p.run("wait", "--for=jsonpath={.data.a}=b", "cm/field").says("condition met")
    p.run("wait", "--for=jsonpath={.data.a}=c", "cm/field", "--timeout=1s", code=1).says(
        "timed out"
    )


@REMOVE.step("delete namespace")
def delete_namespace(p: Player) -> None:
    p.run("delete", "namespace", p.namespace).says("deleted")
    p.run("get", "namespace", p.namespace, code=1).says("not found")
