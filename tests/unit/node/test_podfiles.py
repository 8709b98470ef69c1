"""resolv.conf and hosts, and the name of the host."""

import pytest

from petset.node import podfiles, podspec
from tests.unit.node.pods import pod

MACHINE = "# comment\nsearch example.org\nnameserver 192.0.2.1\noptions rotate\n"
RESOLVER = podfiles.Resolver("10.96.0.10", "cluster.local", MACHINE, "127.0.0.1 localhost m1\n")


def test_cluster_first_searches_the_cluster_then_the_machine() -> None:
    assert podfiles.resolv_conf(pod(), RESOLVER) == (
        "search default.svc.cluster.local svc.cluster.local cluster.local example.org\n"
        "nameserver 10.96.0.10\n"
        "options ndots:5\n"
    )


def test_host_network_uses_the_machine_unless_asked_otherwise() -> None:
    own = podfiles.resolv_conf(pod(hostNetwork=True, dnsPolicy="ClusterFirst"), RESOLVER)
    assert "192.0.2.1" in own
    assert "cluster.local" not in own
    policy = "ClusterFirstWithHostNet"
    assert "10.96.0.10" in podfiles.resolv_conf(pod(hostNetwork=True, dnsPolicy=policy), RESOLVER)
    assert "192.0.2.1" in podfiles.resolv_conf(pod(dnsPolicy="Default"), RESOLVER)


def test_dns_config_adds_and_replaces() -> None:
    config = {
        "nameservers": ["192.0.2.9"],
        "searches": ["own.example"],
        "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
    }
    assert podfiles.resolv_conf(pod(dnsPolicy="None", dnsConfig=config), RESOLVER) == (
        "search own.example\nnameserver 192.0.2.9\noptions ndots:2 edns0\n"
    )
    assert "options ndots:2 edns0" in podfiles.resolv_conf(pod(dnsConfig=config), RESOLVER)


def test_hosts_has_the_full_name_of_a_pod_with_a_subdomain() -> None:
    text = podfiles.hosts(pod(hostname="web-0", subdomain="nginx"), "10.0.0.1", RESOLVER)
    assert "10.0.0.1\tweb-0.nginx.default.svc.cluster.local\tweb-0\n" in text
    assert "10.0.0.1\tweb-0\n" in podfiles.hosts(pod(), "10.0.0.1", RESOLVER)


def test_host_aliases_are_added() -> None:
    aliases = [{"ip": "192.0.2.5", "hostnames": ["a", "b"]}]
    text = podfiles.hosts(pod(hostAliases=aliases), "10.0.0.1", RESOLVER)
    assert text.endswith("\n# Entries added by HostAliases.\n192.0.2.5\ta\tb\n")


def test_on_the_nodes_network_the_machines_hosts_come_first() -> None:
    aliases = [{"ip": "192.0.2.5", "hostnames": ["a"]}]
    text = podfiles.hosts(pod(hostNetwork=True, hostAliases=aliases), "172.29.0.1", RESOLVER)
    assert text == (
        "# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost m1\n"
        "\n# Entries added by HostAliases.\n192.0.2.5\ta\n"
    )


NAMED = {"hostname": "own", "subdomain": "nginx"}


@pytest.mark.parametrize(
    ("spec", "shown"),
    [
        ({}, "web-0"),
        (NAMED, "own"),
        ({"hostNetwork": True}, "n1"),
        ({**NAMED, "hostNetwork": True, "setHostnameAsFQDN": True}, "n1"),
        ({**NAMED, "setHostnameAsFQDN": True}, "own.nginx.default.svc.cluster.local"),
        ({"setHostnameAsFQDN": True}, "web-0"),
    ],
)
def test_which_name_of_the_host_containers_see(spec: dict[str, object], shown: str) -> None:
    assert podspec.shown_hostname(pod(**spec), "n1", "cluster.local") == shown
