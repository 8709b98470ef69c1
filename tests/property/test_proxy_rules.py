"""The node's table of Services: only endpoints that may be used, and every change leads to it."""

import re
from collections.abc import Sequence
from itertools import chain
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from petset.proxy.nftables import COLLECTIONS, TABLE, Pieces, pieces, update
from petset.proxy.rules import PortRule, Target, datagram_places, port_rules
from tests.unit.proxy.test_rules import Obj, endpoint, service, slice_of

NODE = "n1"
STATES = {
    "ready": {"ready": True, "serving": True, "terminating": False},
    "leaving": {"ready": False, "serving": True, "terminating": True},
    "starting": {"ready": False, "serving": False, "terminating": False},
}
Member = tuple[int, str, str]
"""Last number of its address, node, state."""

MEMBERS = st.lists(
    st.tuples(st.integers(1, 6), st.sampled_from(["n1", "n2"]), st.sampled_from(list(STATES))),
    max_size=5,
    unique_by=lambda member: member[0],
)
PROTOCOLS = st.sampled_from(["TCP", "UDP"])
SERVICES = st.fixed_dictionaries(
    {
        "protocol": PROTOCOLS,
        "internalTrafficPolicy": st.sampled_from(["Cluster", "Local"]),
        "externalTrafficPolicy": st.sampled_from(["Cluster", "Local"]),
        "sessionAffinity": st.sampled_from(["None", "ClientIP"]),
        "nodePort": st.booleans(),
        "externalIPs": st.sampled_from([[], ["192.0.2.7"]]),
        "members": MEMBERS,
    }
)
CLUSTER = st.lists(SERVICES, max_size=3)


def cluster(drawn: Sequence[dict[str, Any]]) -> tuple[list[Obj], dict[str, list[Obj]]]:
    """Services `s0`, `s1`, ... and their slices, each member in one of its own."""
    services, slices = [], {}
    for number, one in enumerate(drawn):
        fields = {k: v for k, v in one.items() if k not in ("protocol", "nodePort", "members")}
        port = {"name": "http", "port": 80, "protocol": one["protocol"]}
        if one["nodePort"]:
            port["nodePort"] = 30000 + number
        address = f"10.96.1.{number}"
        services.append(service(f"s{number}", clusterIP=address, ports=[port], **fields))
        parts = [slice_of(member(*m)) for m in one["members"]]
        for part in parts:
            part["ports"][0]["protocol"] = one["protocol"]
        slices[f"default/s{number}"] = parts
    return services, slices


def member(last: int, node: str, state: str) -> Obj:
    return endpoint(f"10.128.0.{last}", node, **STATES[state])


def rules_of(drawn: Sequence[dict[str, Any]]) -> list[PortRule]:
    return port_rules(*cluster(drawn), NODE)


def usable(members: Sequence[Member]) -> set[str]:
    """The ready ones; where there is none, those that still serve while they leave."""
    for state in ("ready", "leaving"):
        if found := {f"10.128.0.{last}" for last, _, now in members if now == state}:
            return found
    return set()


def addresses(targets: Sequence[Target]) -> set[str]:
    return {target.address for target in targets}


@settings(deadline=None)
@given(CLUSTER)
def test_connections_go_to_usable_endpoints_that_the_policies_allow(
    drawn: list[dict[str, Any]],
) -> None:
    for one, rule in zip(drawn, rules_of(drawn), strict=True):
        here = [m for m in one["members"] if m[1] == NODE]
        inside = here if one["internalTrafficPolicy"] == "Local" else one["members"]
        outside = here if one["externalTrafficPolicy"] == "Local" else one["members"]
        assert addresses(rule.targets) == usable(inside)
        assert addresses(rule.near) == usable(outside)
        assert addresses(rule.every) == usable(one["members"])
        assert rule.keep_source is (one["externalTrafficPolicy"] == "Local")


@settings(deadline=None)
@given(CLUSTER, st.randoms(use_true_random=False))
def test_the_order_of_what_is_seen_changes_nothing(drawn: list[dict[str, Any]], rng: Any) -> None:
    services, slices = cluster(drawn)
    before = port_rules(services, slices, NODE)
    rng.shuffle(services)
    for parts in slices.values():
        rng.shuffle(parts)
    after = port_rules(services, slices, NODE)
    assert after == before
    assert update(pieces(before), pieces(after)) == ""
    assert len({rule.key for rule in after}) == len(after)


@settings(deadline=None)
@given(CLUSTER)
def test_packets_of_udp_go_where_the_table_leads_them(drawn: list[dict[str, Any]]) -> None:
    rules = [rule for rule in rules_of(drawn) if rule.protocol == "udp"]
    places = datagram_places(rules)
    for rule in rules:
        assert places[rule.cluster_ip, 80] == frozenset(rule.targets)
        if rule.node_port:
            assert places["", rule.node_port] == frozenset(rule.every)
    assert ("", 0) not in places


@settings(max_examples=200, deadline=None)
@given(st.lists(CLUSTER, min_size=1, max_size=4))
def test_each_change_leads_to_the_next_table_and_never_refers_to_what_is_not_there(
    history: list[list[dict[str, Any]]],
) -> None:
    kernel, now = Kernel(), Pieces()
    for drawn in history:
        wanted = pieces(rules_of(drawn))
        kernel.run(update(now, wanted))
        kernel.check(wanted)
        now = wanted
    kernel.run(update(now, Pieces()))
    kernel.check(Pieces())


class Kernel:
    """What a transaction does to a table, as far as `update` uses it."""

    def __init__(self) -> None:
        self.elements: dict[str, list[str]] = {name: [] for name in COLLECTIONS}
        self.sets: set[str] = set()
        self.chains: dict[str, list[str]] = {}

    def run(self, text: str) -> None:
        for line in text.splitlines():
            verb, what, family, table, name, *rest = line.split(" ")
            assert f"{family} {table}" == TABLE
            self._do(verb, what, name, " ".join(rest))
        known = self.sets | self.elements.keys()
        for line in chain.from_iterable((*self.chains.values(), *self.elements.values())):
            assert set(re.findall(r"(?:goto|jump) ([^\s,;}]+)", line)) <= self.chains.keys()
            assert set(re.findall(r"@([^\s,;}]+)", line)) <= known

    def _do(self, verb: str, what: str, name: str, rest: str) -> None:
        match verb, what:
            case "add", "set":
                assert name not in self.sets
                self.sets.add(name)
            case "add", "chain":
                assert name not in self.chains
                self.chains[name] = []
            case "add", "rule":
                self.chains[name].append(rest)
            case "add", "element":
                self.elements[name] += rest.removeprefix("{ ").removesuffix(" }").split(", ")
                assert len(set(self.elements[name])) == len(self.elements[name])
            case "flush", "chain":
                self.chains[name] = []
            case "flush", "map" | "set":
                self.elements[name] = []
            case "delete", "chain":
                assert not self.chains.pop(name), "rules first"
            case "delete", "set":
                self.sets.remove(name)
            case other:
                raise AssertionError(other)

    def check(self, wanted: Pieces) -> None:
        assert {n: sorted(e) for n, e in self.elements.items()} == {
            n: sorted(e) for n, e in wanted.elements.items()
        }
        assert self.sets == set(wanted.sets)
        assert self.chains == wanted.chains
