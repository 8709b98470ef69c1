"""Objects drawn from a seed: sets, deployments, and edits of them."""

import json
from collections.abc import Callable
from random import Random
from typing import Any

Obj = dict[str, Any]

IMAGES = ("good", "good", "good", "slow", "never", "pull", "crash", "flap")
"""What pods do is in the name of their image: see `play.script_of`."""

RESERVED = ("0", "1", "2-3", "0,2", "4")
DISKS = 30
"""Volumes made beforehand: more than a set can have claims."""


def of_set(rng: Random, name: str) -> list[Obj]:
    """A headless Service, maybe a budget, and a StatefulSet."""
    labels = {"app": name}
    spec: Obj = {
        "serviceName": name,
        "replicas": rng.choice((0, 1, 2, 3, 3, 3, 4, 5)),
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": _pod(rng, name)},
        "volumeClaimTemplates": [_claim(n) for n in ("data", "logs")[: _claims(rng)]],
    }
    if rng.random() < 0.35:
        spec["podManagementPolicy"] = "Parallel"
    if rng.random() < 0.15:
        spec["ordinals"] = {"start": rng.choice((1, 3))}
    if rng.random() < 0.5:
        spec |= json.loads(strategy(rng)[1])
    for _ in range(rng.randrange(3)):
        spec |= json.loads(tune(rng)[1])
    if spec["volumeClaimTemplates"] and rng.random() < 0.3:
        spec |= _retention(rng)
    annotations: Obj = {}
    for _ in range(rng.choice((0, 0, 1, 2))):
        annotations |= {k: v for k, v in json.loads(annotate(rng)[1]).items() if v is not None}
    if rng.random() < 0.15:
        annotations["petset.dev/reserved-ordinals"] = rng.choice(RESERVED)
    if rng.random() < 0.15:
        annotations["petset.dev/primary-label"] = "role=primary"
    if rng.random() < 0.15:
        annotations["petset.dev/ordered-deletion"] = "true"
    made: Obj = {
        "kind": "StatefulSet",
        "apiVersion": "apps/v1",
        "metadata": {"name": name, "annotations": annotations},
        "spec": spec,
    }
    objects = [service(name, unready=rng.random() < 0.3), made]
    if rng.random() < 0.35:
        objects.insert(0, budget_of(name, json.loads(budget(rng)[1])))
    if spec["volumeClaimTemplates"] and rng.random() < 0.2:
        for template in spec["volumeClaimTemplates"]:
            template["spec"]["storageClassName"] = f"disks-of-{name}"
        objects[:0] = [_volume(rng, name, number) for number in range(DISKS)]
    return objects


def of_deployment(rng: Random, name: str) -> list[Obj]:
    """A Service and a Deployment."""
    labels = {"app": name}
    spec: Obj = {
        "replicas": rng.randrange(7),
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": _pod(rng, name)},
        "minReadySeconds": rng.choice((0, 0, 5)),
        "revisionHistoryLimit": rng.choice((0, 1, 10)),
        "progressDeadlineSeconds": rng.choice((20, 60, 600)),
        **json.loads(strategy_front(rng)[1]),
    }
    made: Obj = {
        "kind": "Deployment",
        "apiVersion": "apps/v1",
        "metadata": {"name": name},
        "spec": spec,
    }
    return [service(name, unready=False), made]


def budget_of(name: str, spec: Obj) -> Obj:
    """A disruption budget for the pods of a set."""
    return {
        "kind": "PodDisruptionBudget",
        "apiVersion": "policy/v1",
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": name}}, **spec},
    }


def _claims(rng: Random) -> int:
    return rng.choice((0, 0, 1, 1, 1, 2))


def service(name: str, *, unready: bool) -> Obj:
    """A headless Service, of pods that are not Ready too where `unready`."""
    spec: Obj = {"clusterIP": "None", "selector": {"app": name}, "ports": [{"port": 80}]}
    if unready:
        spec["publishNotReadyAddresses"] = True
    return {"kind": "Service", "apiVersion": "v1", "metadata": {"name": name}, "spec": spec}


def _pod(rng: Random, name: str) -> Obj:
    container = {
        "name": "main",
        "image": "good:0",
        "resources": {"requests": {"cpu": rng.choice(("100m", "300m"))}},
    }
    spec: Obj = {
        "containers": [container],
        "terminationGracePeriodSeconds": rng.choice((1, 5, 30, 30)),  # 0 is no pledge
    }
    if rng.random() < 0.5:
        seconds = rng.choice((0, 5, 30))
        spec["tolerations"] = [
            {
                "key": f"node.kubernetes.io/{key}",
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": seconds,
            }
            for key in ("not-ready", "unreachable")
        ]
    if rng.random() < 0.3:
        spec["topologySpreadConstraints"] = [
            {
                "maxSkew": 1,
                "topologyKey": rng.choice(("zone", "kubernetes.io/hostname")),
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"app": name}},
            }
        ]
    return spec


def _volume(rng: Random, name: str, number: int) -> Obj:
    """A volume that an administrator has made."""
    return {
        "kind": "PersistentVolume",
        "apiVersion": "v1",
        "metadata": {"name": f"disk-{name}-{number}"},
        "spec": {
            "capacity": {"storage": rng.choice(("3Gi", "4Gi"))},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": f"disks-of-{name}",
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": f"/disks/{name}/{number}"},
        },
    }


def _claim(name: str) -> Obj:
    requests = {"requests": {"storage": "1Gi"}}
    spec = {"accessModes": ["ReadWriteOnce"], "resources": requests}
    return {"metadata": {"name": name}, "spec": spec}


# -- details of steps: (number, text) -----------------------------------------------------------


def strategy(rng: Random) -> tuple[float, str]:
    """An update strategy."""
    if (drawn := rng.random()) < 0.35:  # a type alone is legal, and gets no further defaults
        kind = "OnDelete" if drawn < 0.22 else "RollingUpdate"
        return 0, json.dumps({"updateStrategy": {"type": kind, "rollingUpdate": None}})
    rolling: Obj = {"partition": rng.choice((0, 0, 1, 2, 9))}
    rolling["maxUnavailable"] = rng.choice((1, 1, 2, 3, "50%", "34%"))
    found = {"type": "RollingUpdate", "rollingUpdate": rolling}
    return 0, json.dumps({"updateStrategy": found})


def strategy_front(rng: Random) -> tuple[float, str]:
    """An update strategy of a Deployment."""
    if rng.random() < 0.2:
        return 0, json.dumps({"strategy": {"type": "Recreate", "rollingUpdate": None}})
    surge = rng.choice((0, 1, 2, "50%"))
    unavailable = rng.choice((0, 1, "50%", "34%")) if surge else rng.choice((1, 2, "50%"))
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    return 0, json.dumps({"strategy": {"type": "RollingUpdate", "rollingUpdate": rolling}})


def tune(rng: Random) -> tuple[float, str]:
    """Another field of the spec."""
    found = rng.choice(
        (
            {"minReadySeconds": rng.choice((0, 2, 15))},
            {"revisionHistoryLimit": rng.choice((0, 1, 10))},
            _retention(rng),
            _retention(rng),
            {"ordinals": {"start": rng.choice((0, 0, 1, 3))}},
        )
    )
    return 0, json.dumps(found)


def _retention(rng: Random) -> Obj:
    policy = {k: rng.choice(("Retain", "Delete")) for k in ("whenDeleted", "whenScaled")}
    return {"persistentVolumeClaimRetentionPolicy": policy}


def annotate(rng: Random) -> tuple[float, str]:
    """An annotation of a set."""
    key, value = rng.choice(
        (
            ("heal-rollout", "false"),
            ("heal-rollout", None),
            ("rollback", "auto"),
            ("rollback", None),
            ("progress-deadline-seconds", rng.choice(("5", "20", "60"))),
            ("paused", "true"),
            ("paused", None),
            ("ordered-deletion", "true"),
            ("ordered-deletion", None),
            ("primary-label", "role=primary"),
            ("reserved-ordinals", rng.choice(RESERVED)),
            ("reserved-ordinals", None),
        )
    )
    return 0, json.dumps({f"petset.dev/{key}": value})


def budget(rng: Random) -> tuple[float, str]:
    """A disruption budget."""
    field = rng.choice(("minAvailable", "maxUnavailable"))
    other = {"minAvailable": "maxUnavailable", "maxUnavailable": "minAvailable"}[field]
    return 0, json.dumps({field: rng.choice((0, 1, 2, "50%")), other: None})


def image(rng: Random) -> tuple[float, str]:
    """An image, by what it does."""
    return 0, f"{rng.choice(IMAGES)}:{rng.randrange(1, 4)}"


def _scale(rng: Random) -> tuple[float, str]:
    return rng.choice((0, 1, 2, 3, 3, 4, 5)), ""


def _create(rng: Random) -> tuple[float, str]:
    return rng.randrange(1000), rng.choice(("same", "same", "other"))


def _delete(rng: Random) -> tuple[float, str]:
    return 0, rng.choice(("Background", "Foreground", "Orphan"))


def _resize(rng: Random) -> tuple[float, str]:
    return rng.choice((1, 2, 3)), ""


def _jump(rng: Random) -> tuple[float, str]:
    return rng.choice((-60, -5, -1, 1, 5, 60, 3000)), ""


def _back(rng: Random) -> tuple[float, str]:
    return rng.choice((0.0, 0.2, 2.0, 10.0)), ""


def _disk(rng: Random) -> tuple[float, str]:
    return rng.randrange(1, 6), rng.choice(("REFUSED", "LYING"))


def _ordinal_and_grace(rng: Random) -> tuple[float, str]:
    return rng.randrange(6), rng.choice(("", "", "1"))


DETAILS: dict[str, Callable[[Random], tuple[float, str]]] = {
    "scale": _scale,
    "scale_front": lambda rng: (rng.randrange(9), ""),
    "pause_front": lambda rng: (0, rng.choice(("true", ""))),
    "strategy_front": strategy_front,
    "image": image,
    "image_front": image,
    "strategy": strategy,
    "tune": tune,
    "annotate": annotate,
    "budget": budget,
    "create_set": _create,
    "delete_set": _delete,
    "delete_pod": _ordinal_and_grace,
    "resize": _resize,
    "jump": _jump,
    "power": _back,
    "blackout": _back,
    "api_crash": _back,
    "disk": _disk,
}
