"""Commands that only read: every version, all at once, against the objects of `kubectl_world`."""

from tests.e2e.kubectl_player import Player, Walk

READ = Walk("Reading")
plain, step, refused = READ.plain, READ.step, READ.refused

plain("version", r"Server Version.*v1\.\d+\.\d+\+petset")
plain("cluster-info", r"control plane.* is running at .*https://127\.0\.0\.1:\d+")
plain("config view", r"certificate-authority-data: DATA\+OMITTED")
plain("config current-context", r"\S")
plain("api-versions", r"^apps/v1$")
plain("api-resources", r"^statefulsets +sts +apps/v1 +true +StatefulSet$")
plain("api-resources -o wide", r"^pods .* \[?create[ ,]delete[ ,]deletecollection[ ,]get")
plain("api-resources --namespaced=false --verbs=list -o name", r"^persistentvolumes$")
plain("api-resources --api-group=discovery.k8s.io", r"^endpointslices ")
plain("explain statefulset", r"^KIND: +StatefulSet\nVERSION: +(apps/)?v1")
plain("explain statefulset.spec.serviceName", r"serviceName")
plain("explain pods --recursive", r"terminationGracePeriodSeconds\s*<integer>")
plain("explain pods.spec.containers.ports --api-version=v1", r"containerPort\s*<integer>")
plain(
    "explain --output=plaintext-openapiv2 pod.spec",
    r"(?s)\AKIND: +Pod\n.*RESOURCE: spec <Object>\n.*^ +containers\s*<\[\]Object> -required-$",
)
plain("explain nonsense", r"the server doesn't have a resource type \"nonsense\"", code=1)

plain("get pods", r"\ANAME +READY +STATUS +RESTARTS +AGE\n(.*\n)*web-0 +1/1 +Running +0 +\d+")
plain("get pods -o wide", r"web-0 .* 10\.\d+\.\d+\.\d+ +node-\d +<none> +<none>$")
plain("get pod web-0 -o yaml", r"\AapiVersion: v1\nkind: Pod\nmetadata:\n")
plain("get pods -o json", r'\A\{\n    "apiVersion": "v1",\n    "items": \[\n')
plain("get pods -o name", r"^pod/web-1$")
plain("get pod web-0 -o jsonpath={.status.podIP}", r"\A10\.\d+\.\d+\.\d+\Z")
plain("get pods -o jsonpath={.items[*].metadata.name}", r"web-0 web-1")
plain(
    "get pods -o custom-columns=N:.metadata.name,I:.spec.containers[0].image",
    r"\AN +I\n(.*\n)*web-0 +nginx\n",
)
plain("get pods -o go-template={{range.items}}{{.metadata.name}};{{end}}", r"web-0;web-1;\Z")
plain("get pods --no-headers", r"\A\S+ +\d/\d +")
plain("get pods -A", r"\ANAMESPACE +NAME .*\n(.*\n)*default +web-0 ")
plain("get pods -l app=web", r"\ANAME .*\nweb-0 .*\nweb-1 .*\n\Z")
plain("get pods -l app!=web", r"\A(?!.*web-0)(.*\n)*talker ")
plain("get pods -l !app", r"\ANAME .*\n(?!web)")
plain("get pods --field-selector=metadata.name=web-1", r"\ANAME .*\nweb-1 .*\n\Z")
plain("get pods --field-selector=status.phase!=Running", r"\ANo resources found in default")
plain("get pods -l app=web --sort-by=.metadata.uid", r"\ANAME .*\nweb-\d .*\nweb-\d .*\n\Z")
plain("get pods --show-labels", r"web-0 .*app=web.*apps\.kubernetes\.io/pod-index=0")
plain("get pods -L app", r"\ANAME .* AGE +APP\n(.*\n)*web-0 .* web\n")
plain("get pods --show-kind", r"^pod/web-0 ")
plain("get pods --chunk-size=1", r"^web-1 ")
plain("get pods web-0 web-1", r"\ANAME .*\nweb-0 .*\nweb-1 .*\n\Z")
plain("get sts/web svc/web", r"statefulset\.apps/web +2/2(.|\n)*service/web +ClusterIP +None")
plain("get all", r"^pod/web-0 (.|\n)*^service/web (.|\n)*^statefulset\.apps/web ")
plain("get sts -o wide", r"NAME +READY +AGE +CONTAINERS +IMAGES\nweb +2/2 +\S+ +nginx +nginx\n")
plain(
    "get pvc,pv",
    r"(?s)(?=.*persistentvolumeclaim/www-web-0 +Bound)(?=.*persistentvolume/pvc-\S+ +1Gi +RWO)",
)
plain("get nodes -o wide", r"^node-1 +Ready +\S+ +\S+ +v1\.\S+ +172\.29\.")
plain("get events", r"LAST SEEN +TYPE +REASON +OBJECT +MESSAGE\n")
plain("get endpointslices", r"^web-\S+ +IPv4 +80 +10\.\d+\.\d+\.\d+,10\.")
plain("get pods --ignore-not-found nobody", r"\A\Z")
plain("get pod nobody", r"NotFound\): pods \"nobody\" not found", code=1)
plain("get nonsense", r"the server doesn't have a resource type \"nonsense\"", code=1)
plain("get pod web-0 --show-managed-fields -o yaml", r"^  managedFields:$")
plain("get sts web --subresource=status", r"^web +2/2 ")
plain("get sts web --subresource=scale", r"^web +2 +2 ")
plain("get --raw /apis/apps/v1/namespaces/default/statefulsets/web/scale", r'"kind":"Scale"')
plain("get --raw /readyz", r"\Aok")
plain("get pods --server-print=false", r"\ANAME +AGE\n")


@step("get pods -w")
def get_watch(p: Player) -> None:
    mark = f"seen-{p.version.replace('.', '-')}"
    with p.running("get", "pods", "web-0", "-w", "-L", mark) as watch:
        watch.until(r"^web-0 ")
        p.run("label", "pod", "web-0", f"{mark}=yes")
        watch.until(r"^web-0 .* yes\s*$")
    p.run("label", "pod", "web-0", f"{mark}-")


@step("get pods -w --output-watch-events -o json")
def get_watch_events(p: Player) -> None:
    mark = f"event-{p.version.replace('.', '-')}"
    words = ["get", "cm", "-w", "--output-watch-events", "-o", "json"]
    with p.running(*words) as watch:
        watch.until(r'"type": ?"ADDED"')
        p.run("create", "configmap", mark)
        watch.until(rf'"name": ?"{mark}"')
        p.run("delete", "configmap", mark)
        watch.until(r'"type": ?"DELETED"')


@step("get pods --watch-only")
def watch_only(p: Player) -> None:
    mark = f"only-{p.version.replace('.', '-')}"
    with p.running("get", "pods", "--watch-only", "-L", mark) as watch:
        for _ in range(50):  # the watch may begin late: mark again until it tells
            p.run("label", "pod", "web-1", f"{mark}=yes")
            p.run("label", "pod", "web-1", f"{mark}-")
            if watch.has(r"^web-1 .* yes\s*$"):
                break
        watch.until(r"^web-1 .* yes\s*$", 1)
    assert not watch.has(r"^talker ")


plain(
    "describe pod web-0",
    r"^Name: +web-0\n(.|\n)*^Controlled By: +StatefulSet/web\n(.|\n)*Ready +True",
)
plain(
    "describe sts web",
    r"^Name: +web\n(.|\n)*^Replicas: +2 desired \| 2 total\n(.|\n)*^Volume Claims:\n",
)
plain("describe svc web", r"^Name: +web\n(.|\n)*^Endpoints: +10\.\d+\.\d+\.\d+:80,10\.")
plain("describe pvc www-web-0", r"^Status: +Bound\n(.|\n)*^Used By: +web-0\n")
plain("describe pv", r"^Claim: +default/www-web-0\n(.|\n)*^Access Modes: +RWO\n")
plain("describe node node-1", r"^Name: +node-1\n(.|\n)*^Allocated resources:\n(.|\n)* cpu +")
plain("describe ns default", r"^Name: +default\n(.|\n)*^Status: +Active\n")
plain("describe cm settings", r"^Name: +settings\n(.|\n)*colour:\n----\nblue\n")
plain("describe secret hidden", r"^Type: +Opaque\n(.|\n)*word: +6 bytes\n")
plain("describe sa default", r"^Name: +default\n")
plain("describe sc standard", r"^IsDefaultClass: +Yes\n")
plain(
    "describe endpointslice -l kubernetes.io/service-name=web",
    r"^AddressType: +IPv4\n(.|\n)*Ready: +true\n",
)
plain("describe events", r"^(First Timestamp|Event Time): ")
plain("describe controllerrevisions", r"^Kind: +ControllerRevision\n")
plain("events", r"LAST SEEN +TYPE +REASON +OBJECT +MESSAGE\n(.*\n)*.*Pod/web-0 ")
plain("events --for=pod/web-0 --types=Normal", r"Started +Pod/web-0 ")


@step("events --watch")
def watch_events(p: Player) -> None:
    with p.running("events", "--watch", "--for=pod/web-0") as watch:
        watch.until(r"Started +Pod/web-0 ")


plain("auth can-i create pods", r"^yes$")
plain("auth can-i --list", r"\*\.\* ")
plain("auth whoami", r"^Username +kubernetes-admin$", since="1.28")
plain("kustomize app", r"^kind: ConfigMap$")
plain("rollout history sts/web", r"\Astatefulset\.apps/web.*\nREVISION +CHANGE-CAUSE\n1 +<none>\n")
plain("rollout history sts/web --revision=1", r"Image:\s+nginx\n")
plain(
    "rollout status sts/web",
    r"(partitioned roll out complete: 2 new pods|rolling update complete 2 pods)",
)
plain("wait --for=condition=Ready pod/web-0", r"^pod/web-0 condition met$")
plain(
    "wait --for=jsonpath={.status.readyReplicas}=2 sts/web",
    r"^statefulset\.apps/web condition met$",
)
plain(
    "wait --for=condition=Ready pod/talker --timeout=1s pod/nobody",
    r"pods \"nobody\" not found",
    code=1,
)
plain("wait --for=create pod/web-0", r"^pod/web-0 condition met$", since="1.31")
plain("wait --for=delete pod/nobody", r"\A\Z|not found")
refused("top pod --containers", r"Metrics API not available")
refused("top node", r"Metrics API not available")


@step("cluster-info dump")
def dump(p: Player) -> None:
    p.run("cluster-info", "dump", "-o", "yaml", "--output-directory=dump")
    assert (p.home / "dump" / "default" / "statefulsets.yaml").exists() or (
        p.home / "dump" / "default" / "pods.yaml"
    ).exists()
    assert "web-0" in (p.home / "dump" / "default" / "pods.yaml").read_text()


@step("get -f web.yaml")
def get_file(p: Player) -> None:
    p.run("get", "-f", "web.yaml").says(r"^statefulset\.apps/web +2/2")


@step("get pods -A --chunk-size=2 -o name")
def chunks(p: Player) -> None:
    small = p.run("get", "pods", "-n", "default", "--chunk-size=2", "-o", "name").out.split()
    whole = p.run("get", "pods", "-n", "default", "-o", "name").out.split()
    assert small == whole
    assert len(small) > 2
