"""Random pairs of manifests: what somebody has applied, and what the same file says a day later.

Both are valid, and the second can be had from the first by an update: nothing immutable differs.
"""

from random import Random
from typing import Any
from zlib import crc32

Obj = dict[str, Any]

NAMES = ("app", "sidecar", "proxy", "log")
VARIABLES = ("HOST", "PORT", "MODE", "SEED")
LABELS = ("tier", "team", "example.com/part")
KEYS = ("a.conf", "b", "c_d", "e-f")
POLICIES = ("Always", "IfNotPresent", "Never")


class Dice(Random):
    """Draws for one of two versions of a manifest.

    Attributes:
        swaps: whether the two may choose differently where only one of several fields may be set
            (types of volumes, handlers of probes). A server-side apply cannot lead from one to
            another: what the server has filled in of the first stays, because nobody owns it.
    """

    swaps = True

    def one(self, of: tuple[Any, ...], name: str) -> Any:
        """One of them: of two versions of what is called `name` maybe another."""
        return self.choice(of) if self.swaps else of[crc32(name.encode()) % len(of)]


def pairs(rng: Dice, count: int) -> list[tuple[Obj, Obj]]:
    """So many pairs, of one kind after the other."""
    made = []
    for index in range(count):
        kind = KINDS[index % len(KINDS)]
        name = f"{kind.__name__}-{index}".replace("_", "-")
        made.append((_named(kind(rng, name), rng, name), _named(kind(rng, name), rng, name)))
    return made


def _named(obj: Obj, rng: Dice, name: str) -> Obj:
    return {**obj, "metadata": {"name": name, **_meta(rng)}}


def _meta(rng: Dice, **labels: str) -> Obj:
    meta: Obj = {}
    if labels or rng.random() < 0.6:
        meta["labels"] = {**_texts(rng, LABELS), **labels}
    if rng.random() < 0.4:
        meta["annotations"] = _texts(rng, LABELS)
    return meta


def _some(rng: Dice, of: tuple[Any, ...]) -> list[Any]:
    """Some of them, at least one, in any order."""
    return rng.sample(of, rng.randint(1, len(of)))


def _texts(rng: Dice, keys: tuple[str, ...]) -> dict[str, str]:
    return {key: rng.choice(("1", "2", "three")) for key in _some(rng, keys)}


def _maybe(rng: Dice, **fields: Any) -> Obj:
    """Some of the fields; those that are functions are called with `rng`."""
    chosen = {k: v for k, v in fields.items() if rng.random() < 0.5}
    return {k: v(rng) if callable(v) else v for k, v in chosen.items()}


# -- pods -----------------------------------------------------------------------------------------


def _pod_template(rng: Dice, name: str) -> Obj:
    volumes = [_volume(rng, v) for v in _some(rng, ("data", "conf", "tmp")) if rng.random() < 0.7]
    mounted = tuple(v["name"] for v in volumes)
    spec = _maybe(
        rng,
        terminationGracePeriodSeconds=lambda r: r.choice((0, 10, 60)),
        nodeSelector=lambda r: _texts(r, LABELS),
        hostAliases=lambda r: [
            {"ip": ip, "hostnames": _some(r, ("x", "y", "z"))}
            for ip in _some(r, ("10.0.0.1", "10.0.0.2"))
        ],
        imagePullSecrets=lambda r: [{"name": n} for n in _some(r, ("one", "two", "three"))],
        tolerations=lambda r: [
            {"key": k, "operator": r.choice(("Exists", "Equal"))} for k in _some(r, LABELS)
        ],
        topologySpreadConstraints=lambda r: [
            {
                "topologyKey": key,
                "maxSkew": r.randint(1, 3),
                "whenUnsatisfiable": r.choice(("DoNotSchedule", "ScheduleAnyway")),
                "labelSelector": {"matchLabels": _texts(r, LABELS)},
            }
            for key in _some(r, ("zone", "kubernetes.io/hostname"))
        ],
        affinity=lambda r: {
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "weight": r.randint(1, 100),
                        "podAffinityTerm": {
                            "topologyKey": "zone",
                            "labelSelector": {"matchLabels": _texts(r, LABELS)},
                        },
                    }
                ]
            }
        },
        securityContext=lambda r: _maybe(
            r, runAsUser=1000, fsGroup=2000, supplementalGroups=[1, 2], runAsNonRoot=True
        ),
        dnsConfig=lambda r: {"searches": _some(r, ("a.example", "b.example"))},
    )
    spec["serviceAccountName"] = rng.choice(("robot", "droid"))  # one that is set cannot be unset
    spec["containers"] = [_container(rng, n, mounted) for n in _some(rng, NAMES)]
    if rng.random() < 0.4:
        spec["initContainers"] = [_container(rng, "init", mounted)]
    if volumes:
        spec["volumes"] = volumes
    return {"metadata": _meta(rng, app=name), "spec": spec}


def _volume(rng: Dice, name: str) -> Obj:
    sources: tuple[Obj, ...] = (
        {"emptyDir": {}},
        {"emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
        {"configMap": {"name": "settings"}},
        {"configMap": {"name": "settings", "items": [{"key": "k", "path": rng.choice("pq")}]}},
        {"secret": {"secretName": "s", "optional": True}},
        {"persistentVolumeClaim": {"claimName": "c"}},
        {"downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
        {"projected": {"sources": [{"secret": {"name": rng.choice("st")}}]}},
    )
    return {"name": name, **rng.one(sources, name)}


def _container(rng: Dice, name: str, volumes: tuple[str, ...]) -> Obj:
    ports = [
        {"containerPort": p, **_maybe(rng, name=f"p{p}", protocol=rng.choice(("TCP", "UDP")))}
        for p in _some(rng, (80, 443, 8080))
    ]
    mounts = [
        {"name": v, "mountPath": f"/mnt/{v}", **_maybe(rng, readOnly=True, subPath="x")}
        for v in (_some(rng, volumes) if volumes else ())
    ]
    return {
        "name": name,
        "image": f"registry.example/{name}:{rng.randint(1, 3)}",
        **_maybe(
            rng,
            env=lambda r: [_variable(r, v) for v in _some(r, VARIABLES)],
            envFrom=lambda r: [{"configMapRef": {"name": n}} for n in _some(r, ("one", "two"))],
            ports=ports,
            **({"volumeMounts": mounts} if mounts else {}),
            command=lambda r: _some(r, ("run", "-v", "--fast")),
            args=lambda r: _some(r, ("1", "2", "3")),
            workingDir="/work",
            imagePullPolicy=lambda r: r.choice(POLICIES),
            resources=lambda r: _maybe(
                r, limits={"cpu": r.choice(("1", "2")), "memory": "1Gi"}, requests={"cpu": "100m"}
            ),
            securityContext=lambda r: _maybe(
                r, privileged=False, capabilities={"add": _some(r, ("NET_ADMIN", "SYS_TIME"))}
            ),
            **({} if name == "init" else _OF_RUNNING),
        ),
    }


def _variable(rng: Dice, name: str) -> Obj:
    sources: tuple[Obj, ...] = (
        {"value": rng.choice(("", "1", "two"))},
        {"valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"valueFrom": {"secretKeyRef": {"name": "s", "key": rng.choice("kl")}}},
        {"valueFrom": {"configMapKeyRef": {"name": "c", "key": "k", "optional": True}}},
    )
    return {"name": name, **rng.one(sources, name)}


def _probe(rng: Dice) -> Obj:
    return {
        **_handler(rng, "probe"),
        **_maybe(rng, periodSeconds=3, failureThreshold=5, timeoutSeconds=2),
    }


def _handler(rng: Dice, name: str) -> Obj:
    port = rng.choice((80, "p80")) if name == "probe" else 80
    handlers: tuple[Obj, ...] = (
        {"exec": {"command": _some(rng, ("a", "b"))}},
        {"httpGet": {"path": "/", "port": port, **_maybe(rng, scheme="HTTPS")}},
        {"tcpSocket": {"port": port}},
    )
    chosen: Obj = rng.one(handlers, name)
    return chosen


_OF_RUNNING = {
    "readinessProbe": _probe,
    "livenessProbe": _probe,
    "lifecycle": lambda rng: {"preStop": _handler(rng, "preStop")},
}
"""What containers have that do not end by themselves."""


# -- kinds ----------------------------------------------------------------------------------------


def deployment(rng: Dice, name: str) -> Obj:
    strategies: tuple[Obj, ...] = (
        {"type": "Recreate"},
        {"type": "RollingUpdate"},
        {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "50%", "maxUnavailable": 0}},
        {"rollingUpdate": {"maxSurge": 2}},
    )
    return {
        "kind": "Deployment",
        "apiVersion": "apps/v1",
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": _pod_template(rng, name),
            "strategy": rng.one(strategies, name),
            **_maybe(
                rng,
                replicas=rng.randint(0, 5),
                revisionHistoryLimit=3,
                minReadySeconds=5,
                paused=True,
            ),
        },
    }


def stateful_set(rng: Dice, name: str) -> Obj:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"partition": rng.randint(0, 3)}}
    return {
        "kind": "StatefulSet",
        "apiVersion": "apps/v1",
        "spec": {
            "serviceName": name,
            "selector": {"matchLabels": {"app": name}},
            "template": _pod_template(rng, name),
            **_maybe(rng, replicas=rng.randint(0, 5), updateStrategy=rolling),
        },
    }


def service(rng: Dice, name: str) -> Obj:
    ports = [
        {
            "name": f"p{port}",
            "port": port,
            **_maybe(rng, targetPort=rng.choice((8080, "web")), protocol="TCP", appProtocol="http"),
        }
        for port in _some(rng, (80, 443, 5432))
    ]
    return {
        "kind": "Service",
        "apiVersion": "v1",
        "spec": {
            "clusterIP": "None",
            "selector": {"app": name, **_texts(rng, LABELS)},
            "ports": ports,
            **_maybe(rng, sessionAffinity="None", publishNotReadyAddresses=True),
        },
    }


def config_map(rng: Dice, name: str) -> Obj:
    del name
    made = {"kind": "ConfigMap", "apiVersion": "v1"}
    return {**made, **_maybe(rng, data=lambda r: _texts(r, KEYS), binaryData={"bin": "AAE="})}


def secret(rng: Dice, name: str) -> Obj:
    del name
    made = {"kind": "Secret", "apiVersion": "v1", "type": "Opaque"}
    return {**made, **_maybe(rng, data=dict.fromkeys(_some(rng, KEYS), "YQ=="))}


def service_account(rng: Dice, name: str) -> Obj:
    del name
    made = {"kind": "ServiceAccount", "apiVersion": "v1"}
    wanted = [{"name": n} for n in _some(rng, ("one", "two", "three"))]
    return {**made, **_maybe(rng, imagePullSecrets=wanted, automountServiceAccountToken=False)}


def disruption_budget(rng: Dice, name: str) -> Obj:
    bounds: tuple[Obj, ...] = (
        {"minAvailable": 1},
        {"minAvailable": "50%"},
        {"maxUnavailable": 1},
        {"maxUnavailable": "10%"},
    )
    selector = {"matchLabels": {"app": name, **_texts(rng, LABELS)}}
    return {
        "kind": "PodDisruptionBudget",
        "apiVersion": "policy/v1",
        "spec": {"selector": selector, **rng.choice(bounds)},
    }


def cron_job(rng: Dice, name: str) -> Obj:
    template = _pod_template(rng, name)
    template["spec"]["restartPolicy"] = rng.choice(("Never", "OnFailure"))
    return {
        "kind": "CronJob",
        "apiVersion": "batch/v1",
        "spec": {
            "schedule": rng.choice(("0 * * * *", "@daily")),
            "jobTemplate": {"spec": {"template": template, **_maybe(rng, backoffLimit=2)}},
            **_maybe(rng, suspend=True, concurrencyPolicy="Forbid", timeZone="Etc/UTC"),
        },
    }


def network_policy(rng: Dice, name: str) -> Obj:
    peers = [{"podSelector": {"matchLabels": {k: "x"}}} for k in _some(rng, LABELS)]
    ports = [{"port": p, "protocol": "TCP"} for p in _some(rng, (80, 443))]
    ingress = [{"from": peers, **_maybe(rng, ports=ports)}]
    return {
        "kind": "NetworkPolicy",
        "apiVersion": "networking.k8s.io/v1",
        "spec": {
            "podSelector": {"matchLabels": {"app": name}},
            **_maybe(rng, ingress=ingress, policyTypes=["Ingress"]),
        },
    }


def role(rng: Dice, name: str) -> Obj:
    del name
    rules = [
        {"apiGroups": [""], "resources": _some(rng, ("pods", "secrets")), "verbs": [verb]}
        for verb in _some(rng, ("get", "list", "watch"))
    ]
    return {"kind": "Role", "apiVersion": "rbac.authorization.k8s.io/v1", "rules": rules}


KINDS = (
    deployment,
    stateful_set,
    service,
    config_map,
    secret,
    service_account,
    disruption_budget,
    cron_job,
    network_policy,
    role,
)
