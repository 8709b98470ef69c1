"""The text of a pod's resolv.conf, hosts and hostname files. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from petset.api.meta import Obj, namespace_of
from petset.node import podspec

NAMESERVERS_MAX = 3
LOCAL_HOSTS = """127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
fe00::0\tip6-mcastprefix
fe00::1\tip6-allnodes
fe00::2\tip6-allrouters
"""


@dataclass(frozen=True, slots=True)
class Resolver:
    """Where names are looked up: the cluster's DNS address and zone, the machine's resolv.conf and
    hosts file."""

    address: str
    domain: str
    machine: str
    machine_hosts: str = ""


def resolv_conf(pod: Obj, resolver: Resolver) -> str:
    """resolv.conf, as dnsPolicy and dnsConfig say."""
    policy = podspec.spec_of(pod).get("dnsPolicy") or "ClusterFirst"
    if policy == "ClusterFirst" and podspec.on_host_network(pod):
        policy = "Default"
    servers: list[str] = []
    searches: list[str] = []
    options: list[str] = []
    if policy == "None":
        pass
    elif policy == "Default":
        servers, searches, options = _parse(resolver.machine)
    else:
        namespace, domain = namespace_of(pod), resolver.domain
        _, outer, _ = _parse(resolver.machine)
        servers = [resolver.address]
        own = [f"{namespace}.svc.{domain}", f"svc.{domain}", domain]
        searches, options = own + outer, ["ndots:5"]
    return _with_config(pod, servers, searches, options)


def _with_config(pod: Obj, servers: list[str], searches: list[str], options: list[str]) -> str:
    config = podspec.spec_of(pod).get("dnsConfig") or {}
    servers = list(dict.fromkeys(servers + list(config.get("nameservers") or ())))
    searches = list(dict.fromkeys(searches + list(config.get("searches") or ())))
    given = {o.partition(":")[0]: o for o in options}
    for option in config.get("options") or ():
        name, value = option.get("name") or "", option.get("value")
        given[name] = f"{name}:{value}" if value else name
    lines = [f"search {' '.join(searches)}"] if searches else []
    lines += [f"nameserver {server}" for server in servers[:NAMESERVERS_MAX]]
    if given:
        lines.append(f"options {' '.join(given.values())}")
    return "\n".join(lines) + "\n"


def _parse(text: str) -> tuple[list[str], list[str], list[str]]:
    servers: list[str] = []
    searches: list[str] = []
    options: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2 or words[0][0] in "#;":
            continue
        if words[0] == "nameserver":
            servers.append(words[1])
        elif words[0] in ("search", "domain"):
            searches = [w for w in words[1:] if w != "."]
        elif words[0] == "options":
            options += words[1:]
    return servers, searches, options


def hosts(pod: Obj, ip: str, resolver: Resolver) -> str:
    """The hosts file: the pod's own names (the machine's file on its network), then hostAliases."""
    short, full = podspec.hostname(pod), podspec.domain_name(pod, resolver.domain)
    names = f"{full}\t{short}" if full else short
    if podspec.on_host_network(pod):
        text = f"# Kubernetes-managed hosts file (host network).\n{resolver.machine_hosts}"
    else:
        text = f"# Kubernetes-managed hosts file.\n{LOCAL_HOSTS}{ip}\t{names}\n"
    return text + aliases(podspec.spec_of(pod).get("hostAliases") or ())


def aliases(entries: Sequence[Obj]) -> str:
    """The lines that hostAliases add."""
    if not entries:
        return ""
    lines = [f"{e['ip']}\t" + "\t".join(e.get("hostnames") or ()) for e in entries if e.get("ip")]
    return "\n# Entries added by HostAliases.\n" + "".join(f"{line}\n" for line in lines)
