"""Defaults settle at once, and never make a valid object invalid."""

import copy
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from petset.api import names
from petset.api.behaviours import behaviour

Made = dict[str, Any]

NAMES = st.sampled_from(["a", "b", "c", "d-1"])
AMOUNTS = st.sampled_from(["1", "1000m", "0.5", "2k", "1Gi", "1024Mi", "0"])
RESOURCES = st.fixed_dictionaries(
    {},
    optional={
        "limits": st.dictionaries(st.sampled_from(["cpu", "memory"]), AMOUNTS),
        "requests": st.dictionaries(st.sampled_from(["cpu", "memory"]), AMOUNTS),
    },
)
PORTS = st.lists(
    st.fixed_dictionaries(
        {"containerPort": st.integers(1, 65535)},
        optional={"protocol": st.sampled_from(["TCP", "UDP"]), "hostPort": st.integers(1, 65535)},
    ),
    max_size=2,
)
PROBES = st.fixed_dictionaries(
    {},
    optional={
        "httpGet": st.fixed_dictionaries({"port": st.integers(1, 65535)}),
        "exec": st.just({"command": ["true"]}),
        "periodSeconds": st.integers(0, 5),
        "failureThreshold": st.integers(0, 5),
    },
)
ENV = st.lists(
    st.fixed_dictionaries(
        {"name": NAMES},
        optional={
            "value": st.sampled_from(["", "x"]),
            "valueFrom": st.sampled_from(
                [
                    {"fieldRef": {"fieldPath": "metadata.name"}},
                    {"resourceFieldRef": {"resource": "limits.cpu"}},
                ]
            ),
        },
    ),
    max_size=2,
)
CONTAINERS = st.lists(
    st.fixed_dictionaries(
        {"name": NAMES, "image": st.sampled_from(["nginx", "nginx:1", "h:5000/n", "n@sha256:a"])},
        optional={
            "resources": RESOURCES,
            "ports": PORTS,
            "readinessProbe": PROBES,
            "env": ENV,
            "volumeMounts": st.lists(
                st.fixed_dictionaries({"name": NAMES, "mountPath": st.sampled_from(["/a", "/b"])}),
                max_size=2,
            ),
        },
    ),
    max_size=3,
)
SOURCES: list[Made] = [
    {},
    {"emptyDir": {}},
    {"secret": {"secretName": "s"}},
    {"configMap": {"name": "c", "defaultMode": 0}},
    {"hostPath": {"path": "/x"}},
    {"persistentVolumeClaim": {"claimName": "c"}},
    {"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
    {"downwardAPI": {"items": [{"path": "p", "fieldRef": {"fieldPath": "metadata.uid"}}]}},
]
VOLUMES = st.lists(
    st.builds(lambda name, source: {"name": name, **source}, NAMES, st.sampled_from(SOURCES)),
    max_size=3,
)
POD_SPECS = st.fixed_dictionaries(
    {"containers": CONTAINERS},
    optional={
        "volumes": VOLUMES,
        "hostNetwork": st.booleans(),
        "restartPolicy": st.sampled_from(["Always", "Never", ""]),
        "terminationGracePeriodSeconds": st.integers(0, 60),
        "serviceAccount": NAMES,
        "overhead": st.fixed_dictionaries({"cpu": AMOUNTS}),
    },
)
TEMPLATES = st.fixed_dictionaries(
    {"metadata": st.just({"labels": {"app": "web"}}), "spec": POD_SPECS}
)
CLAIMS = st.fixed_dictionaries(
    {"accessModes": st.just(["ReadWriteOnce"])},
    optional={
        "resources": st.fixed_dictionaries(
            {"requests": st.fixed_dictionaries({"storage": AMOUNTS})}
        ),
        "volumeMode": st.sampled_from(["Block", ""]),
    },
)
SETS = st.fixed_dictionaries(
    {"selector": st.just({"matchLabels": {"app": "web"}}), "template": TEMPLATES},
    optional={
        "replicas": st.integers(0, 3),
        "updateStrategy": st.sampled_from(
            [{}, {"type": "OnDelete"}, {"type": "RollingUpdate"}, {"rollingUpdate": {}}]
        ),
        "persistentVolumeClaimRetentionPolicy": st.sampled_from([{}, {"whenScaled": "Delete"}]),
        "volumeClaimTemplates": st.lists(
            st.builds(lambda n, s: {"metadata": {"name": n}, "spec": s}, NAMES, CLAIMS),
            max_size=2,
        ),
    },
)
SERVICES = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["ClusterIP", "NodePort", "LoadBalancer", "ExternalName", ""]),
        "clusterIP": st.sampled_from(["None", "", "10.96.0.9"]),
        "externalName": st.just("a.b"),
        "sessionAffinity": st.sampled_from(["None", "ClientIP"]),
        "ports": st.lists(
            st.fixed_dictionaries(
                {"port": st.integers(1, 9)},
                optional={"name": NAMES, "targetPort": st.sampled_from([0, "", 5, "web"])},
            ),
            max_size=2,
        ),
    },
)
OBJECTS = st.one_of(
    st.tuples(st.just("pods"), POD_SPECS),
    st.tuples(st.just("statefulsets.apps"), SETS),
    st.tuples(st.just("deployments.apps"), SETS),
    st.tuples(st.just("replicasets.apps"), SETS),
    st.tuples(st.just("jobs.batch"), SETS),
    st.tuples(st.just("services"), SERVICES),
    st.tuples(st.just("persistentvolumeclaims"), CLAIMS),
)


def _object(spec: Made) -> Made:
    return {"metadata": {"name": "x", "namespace": "default"}, "spec": copy.deepcopy(spec)}


@settings(deadline=None)
@given(OBJECTS)
def test_defaults_settle_at_once(case: tuple[str, Made]) -> None:
    how, obj = behaviour(case[0]), _object(case[1])
    how.default(obj)
    again = copy.deepcopy(obj)
    how.default(again)
    assert again == obj


@settings(deadline=None)
@given(OBJECTS)
def test_what_is_valid_stays_valid_when_defaulted_again_or_updated(case: tuple[str, Made]) -> None:
    how, obj = behaviour(case[0]), _object(case[1])
    how.default(obj)
    before = how.validate(obj)
    how.default(obj)
    assert how.validate(obj) == before
    new = copy.deepcopy(obj)
    how.prepare_update(new, obj)
    assert new == obj
    if not before:
        assert list(how.validate_update(new, obj)) == []


@settings(deadline=None)
@given(OBJECTS)
def test_defaults_only_cure_faults(case: tuple[str, Made]) -> None:
    """A fault after defaulting was there before, or is about what a client had left out."""
    how, obj = behaviour(case[0]), _object(case[1])
    before = {f.field for f in how.validate(obj)}
    how.default(obj)
    added = {f.field for f in how.validate(obj)} - before
    # a volume without a source takes no name yet, so its twin is told only when it has one
    added = {f for f in added if not re.search(r"\bvolumes\[\d+\]\.name$", f)}
    assert {f for f in added if "hostPort" not in f} == set()


@settings(deadline=None)
@given(st.text(max_size=70))
def test_name_rules_never_fail_and_agree(text: str) -> None:
    faults = {rule: names.name_faults(rule, text) for rule in names.RULES}
    if not faults["label1035"]:
        assert not faults["label"]
    if not faults["label"]:
        assert not faults["subdomain"]
    if not faults["subdomain"]:
        assert not faults["path"]


@settings(deadline=None)
@given(st.text(max_size=70))
def test_a_qualified_name_is_no_more_than_a_label_and_a_prefix(text: str) -> None:
    if not names.qualified_name(text):
        prefix, _, name = text.rpartition("/")
        assert not names.label_value(name)
        assert not prefix or not names.dns_subdomain(prefix)
