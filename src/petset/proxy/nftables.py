"""The text of nftables transactions: a whole table, or the way from one table to the next. Pure.

Invariant: chains and sets are named after what they stand for, so a change of one Service leaves
everything else as it is, the clients remembered for session affinity included.
"""

import ipaddress
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from petset.proxy.rules import PortRule, Target

TABLE = "ip petset"
MARK = "0x4000"
"""Bit of the packet mark: the source has to be masqueraded."""

GONE = "meta l4proto tcp fib daddr type unicast fib daddr oif missing reject with tcp reset"
"""To addresses of pods that are gone no route leads. That alone makes new connections fail at once;
one that is open would go on sending for minutes, because TCP takes such news for passing (RFC 1122,
4.2.3.9)."""

CLIENTS = "{ type ipv4_addr; size 65536; flags dynamic,timeout; }"
"""The clients that stick to an endpoint, forgotten after the Service's timeout."""

PLACE = "ipv4_addr . inet_proto . inet_service"
COLLECTIONS = {
    "svc": f"map svc {{ type {PLACE} : verdict; }}",
    "nodeport": "map nodeport { type inet_proto . inet_service : verdict; }",
    "refused": f"set refused {{ type {PLACE}; }}",
    "refused_ports": "set refused_ports { type inet_proto . inet_service; }",
    "dropped": f"set dropped {{ type {PLACE}; }}",
    "dropped_ports": "set dropped_ports { type inet_proto . inet_service; }",
    "self": "set self { type ipv4_addr . ipv4_addr; }",
}
"""What leads to the chains. Packets to a place that no chain took are refused where there is no
endpoint at all, and dropped where there are some, but not for them. `self` pairs each endpoint
with itself, for hairpin connections."""


_HOOKS = ("pre", "out", "post", "gone", "refuse_in", "refuse_forward", "refuse_out")
_UNKNOWN = "?"


@dataclass(slots=True)
class Pieces:
    """A table in pieces: elements of the collections, names of the sets of clients, rules of each
    chain."""

    elements: dict[str, list[str]] = field(default_factory=lambda: {n: [] for n in COLLECTIONS})
    sets: list[str] = field(default_factory=list)
    chains: dict[str, list[str]] = field(default_factory=dict)


def pieces(rules: Iterable[PortRule], pods: str = "") -> Pieces:
    """The table that does what `rules` say; `pods` is the network of the node's pods."""
    made = Pieces()
    every = list(rules)
    taken = {_place(rule, rule.cluster_ip) for rule in every}
    for rule in every:
        _add_inside(made, rule)
        _add_outside(made, rule, pods, taken)
    addresses = {t.address for rule in every for t in rule.every}
    ordered = sorted(addresses, key=ipaddress.IPv4Address)
    made.elements["self"] = [f"{a} . {a}" for a in ordered]
    return made


def _place(rule: PortRule, address: str) -> str:
    return f"{address} . {rule.protocol} . {rule.port}"


def _add_inside(made: Pieces, rule: PortRule) -> None:
    place = _place(rule, rule.cluster_ip)
    if rule.targets:
        chain = f"svc/{rule.key}"
        _add_choice(made, chain, rule, rule.targets)
        made.elements["svc"].append(f"{place} : goto {chain}")
    else:
        made.elements["dropped" if rule.every else "refused"].append(place)


def _add_outside(made: Pieces, rule: PortRule, pods: str, taken: set[str]) -> None:
    """Node port and addresses from outside the cluster; an address that is taken stays its first
    Service's.

    Connections are masqueraded unless the source is to be kept; then only endpoints of this node
    take them, but for those that begin on this node, which may go anywhere. Those of pods of other
    nodes may not: an endpoint elsewhere would answer them past this node, untranslated.
    """
    port = [f"{rule.protocol} . {rule.node_port}"] if rule.node_port else []
    open_, guarded = _outside_places(rule, taken)
    if not rule.every:
        made.elements["refused"] += open_ + guarded
        made.elements["refused_ports"] += port
    elif port or open_ or guarded:
        chain = f"ext/{rule.key}"
        made.chains[chain] = _outside_rules(made, rule, pods)
        made.elements["nodeport"] += [f"{p} : goto {chain}" for p in port]
        made.elements["svc"] += [f"{p} : goto {chain}" for p in open_]
        if guarded:
            guard = _add_guard(made, rule, chain)
            made.elements["svc"] += [f"{p} : goto {guard}" for p in guarded]
            made.elements["dropped"] += guarded
        if rule.keep_source and not rule.near:
            made.elements["dropped"] += open_
            made.elements["dropped_ports"] += port


def _outside_places(rule: PortRule, taken: set[str]) -> tuple[list[str], list[str]]:
    """The places outside the cluster that are this rule's: open ones, and those for some only."""
    found: tuple[list[str], list[str]] = ([], [])
    for guarded, addresses in ((False, rule.externals), (True, rule.balancers)):
        for place in (_place(rule, address) for address in addresses):
            if place not in taken:
                taken.add(place)
                found[guarded and rule.sources is not None].append(place)
    return found


def _outside_rules(made: Pieces, rule: PortRule, pods: str) -> list[str]:
    mark = f"ct mark set ct mark | {MARK}"
    anywhere = _chain_of(made, rule, "all", rule.every)
    if not rule.keep_source:
        return [mark, f"goto {anywhere}"]
    found = [f"ip saddr {pods} goto {anywhere}"] if pods else []
    found += [f"fib saddr type local {mark}", f"fib saddr type local goto {anywhere}"]
    if rule.near:
        found.append(f"goto {_chain_of(made, rule, 'local', rule.near)}")
    return found


def _chain_of(made: Pieces, rule: PortRule, kind: str, targets: Sequence[Target]) -> str:
    """A chain that picks one of `targets`; the ClusterIP's own where that does the same."""
    if targets == rule.targets:
        return f"svc/{rule.key}"
    chain = f"{kind}/{rule.key}"
    _add_choice(made, chain, rule, targets)
    return chain


def _add_guard(made: Pieces, rule: PortRule, onward: str) -> str:
    """A chain that lets only some networks on."""
    chain = f"from/{rule.key}"
    made.chains[chain] = [f"ip saddr {network} goto {onward}" for network in rule.sources or ()]
    return chain


def _add_choice(made: Pieces, chain: str, rule: PortRule, targets: Sequence[Target]) -> None:
    """A chain that picks one of `targets`."""
    if rule.affinity_s:
        _add_sticky_choice(made, chain, rule, targets)
        return
    to = f"{targets[0].address}:{targets[0].port}"
    if len(targets) > 1:
        choices = ", ".join(f"{i} : {t.address} . {t.port}" for i, t in enumerate(targets))
        to = f"numgen random mod {len(targets)} map {{ {choices} }}"
    made.chains[chain] = [f"meta l4proto {rule.protocol} dnat ip to {to}"]


def _add_sticky_choice(made: Pieces, chain: str, rule: PortRule, targets: Sequence[Target]) -> None:
    """A chain per endpoint that remembers the client; those are asked before one is drawn."""
    names = [f"{chain}/{t.address}_{t.port}" for t in targets]
    for name, target in zip(names, targets, strict=True):
        made.sets.append(name)
        made.chains[name] = [
            f"update @{name} {{ ip saddr timeout {rule.affinity_s}s }}",
            f"meta l4proto {rule.protocol} dnat ip to {target.address}:{target.port}",
        ]
    choices = ", ".join(f"{i} : goto {name}" for i, name in enumerate(names))
    made.chains[chain] = [
        *(f"ip saddr @{name} goto {name}" for name in names),
        f"numgen random mod {len(names)} vmap {{ {choices} }}",
    ]


def whole(table: Pieces) -> str:
    """A transaction that replaces whatever table is there."""
    lines = [
        f"table {TABLE} {{}}",
        f"delete table {TABLE}",
        f"table {TABLE} {{",
        *(f"  {declaration}" for declaration in COLLECTIONS.values()),
        *_hooks(),
        "}",
    ]
    return "\n".join([*lines, *_changes(Pieces(), table)]) + "\n"


def present(listing: str) -> Pieces | None:
    """The table that an earlier agent left, as far as `successor` has to know it.

    Args:
        listing: what `nft -j list table` says.

    Elements and rules are unknown, and stand there as such. None: it is not a table that could be
    kept, because it is none of ours or of another version.
    """
    try:
        objects = json.loads(listing)["nftables"]
        named = [(k, v["name"], "hook" in v) for o in objects for k, v in o.items() if "name" in v]
    except (ValueError, KeyError, TypeError):
        return None
    sets = {name for kind, name, _ in named if kind in ("set", "map")}
    hooks = {name for kind, name, is_hook in named if kind == "chain" and is_hook}
    if hooks != set(_HOOKS) or not sets >= COLLECTIONS.keys():
        return None
    return Pieces(
        elements={name: [_UNKNOWN] for name in COLLECTIONS},
        sets=sorted(sets - COLLECTIONS.keys()),
        chains={n: [_UNKNOWN] for kind, n, is_hook in named if kind == "chain" and not is_hook},
    )


def successor(found: Pieces, new: Pieces) -> str:
    """A transaction from a table that was `present` to `new`; it keeps the clients remembered."""
    lines = [
        *(f"flush chain {TABLE} {name}" for name in _HOOKS),
        f"table {TABLE} {{",
        *(f"  {declaration}" for declaration in COLLECTIONS.values()),
        *_hooks(),
        "}",
    ]
    return "\n".join([*lines, *_changes(found, new)]) + "\n"


def update(old: Pieces, new: Pieces) -> str:
    """A transaction from `old` to `new`; "" when they are the same."""
    lines = _changes(old, new)
    return "\n".join(lines) + "\n" if lines else ""


def _changes(old: Pieces, new: Pieces) -> list[str]:
    """New things are declared first and old ones removed last, when nothing refers to them."""
    gone = [name for name in old.chains if name not in new.chains]
    changed = [n for n, rules in new.chains.items() if n in old.chains and old.chains[n] != rules]
    added = [name for name in new.chains if name not in old.chains]
    collections = [n for n in COLLECTIONS if old.elements[n] != new.elements[n]]
    return [
        *(f"add set {TABLE} {n} {CLIENTS}" for n in new.sets if n not in old.sets),
        *(f"add chain {TABLE} {name}" for name in added),
        *(f"flush {_kind(name)} {TABLE} {name}" for name in collections if old.elements[name]),
        *(f"flush chain {TABLE} {name}" for name in (*changed, *gone)),
        *_rules({name: new.chains[name] for name in (*added, *changed)}),
        *(_elements(name, new.elements[name]) for name in collections if new.elements[name]),
        *(f"delete chain {TABLE} {name}" for name in gone),
        *(f"delete set {TABLE} {name}" for name in old.sets if name not in new.sets),
    ]


def _kind(name: str) -> str:
    return COLLECTIONS[name].partition(" ")[0]


def _rules(chains: Mapping[str, Sequence[str]]) -> Iterable[str]:
    return (f"add rule {TABLE} {name} {rule}" for name, rules in chains.items() for rule in rules)


def _elements(name: str, elements: Sequence[str]) -> str:
    return f"add element {TABLE} {name} {{ {', '.join(elements)} }}"


def _hooks() -> list[str]:
    place = "ip daddr . meta l4proto . th dport"
    local = "fib daddr type local meta l4proto . th dport"
    lead = [f"    {place} vmap @svc", f"    {local} vmap @nodeport"]
    refuse = [
        f"    {place} @refused reject",
        f"    {local} @refused_ports reject",
        f"    {place} @dropped drop",
        f"    {local} @dropped_ports drop",
    ]
    return [
        *_hook("pre", "nat hook prerouting priority -100", lead),
        *_hook("out", "nat hook output priority -100", lead),
        *_hook(
            "post",
            "nat hook postrouting priority 100",
            [
                "    ct status dnat ip saddr . ip daddr @self masquerade",
                f"    ct status dnat ct mark & {MARK} == {MARK} masquerade",
                "    ct status dnat ip saddr 127.0.0.0/8 masquerade",
            ],
        ),
        *_hook("gone", "filter hook prerouting priority 0", [GONE]),
        *_hook("refuse_in", "filter hook input priority 0", refuse),
        *_hook("refuse_forward", "filter hook forward priority 0", refuse),
        *_hook("refuse_out", "filter hook output priority 0", refuse),
    ]


def _hook(name: str, where: str, rules: Iterable[str]) -> list[str]:
    return [f"  chain {name} {{", f"    type {where};", *rules, "  }"]
