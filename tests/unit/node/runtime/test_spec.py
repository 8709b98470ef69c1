"""config.json of containers."""

from dataclasses import replace

import pytest

from petset.node.images.types import Image
from petset.node.runtime import seccomp, spec, user
from petset.node.runtime.base import ContainerConfig, Limits, Mount, Security

MACHINE = spec.Machine(
    "x86_64", ("CHOWN", "KILL", "NET_ADMIN", "SYS_ADMIN"), cgroup_parent="/p/x/n"
)
CONFIG = ContainerConfig(
    id="id1",
    pod_uid="u1",
    name="c",
    attempt=0,
    image=Image("sha256:1", "nginx", ()),
    args=("nginx",),
    env=(("A", "1"),),
    cwd="",
    mounts=(Mount("/b", "/data/b"), Mount("/a", "/data", read_only=True)),
    log_path="",
    limits=Limits(memory_bytes=1 << 20, cpu_limit_m=500, cpu_request_m=250, pids=10),
)
PINNED = {"network": "/n", "ipc": "/i", "uts": "/u"}


ORDINARY, ROOT = Security(), user.User(0, 0)


def built(security: Security = ORDINARY, who: user.User = ROOT) -> dict[str, object]:
    config = replace(CONFIG, security=security)
    return spec.build(config, who, root="/r", namespaces=PINNED, machine=MACHINE)


def test_older_runtimes_take_it() -> None:
    assert built()["ociVersion"] == "1.0.2"


def test_capabilities_are_those_kept_by_default_within_the_agents_own() -> None:
    assert spec.capabilities_of(Security(), MACHINE.capabilities) == ["CAP_CHOWN", "CAP_KILL"]
    added = Security(add=("NET_ADMIN", "cap_sys_time"), drop=("KILL",))
    assert spec.capabilities_of(added, MACHINE.capabilities) == ["CAP_CHOWN", "CAP_NET_ADMIN"]
    assert spec.capabilities_of(Security(drop=("ALL",)), MACHINE.capabilities) == []
    only = Security(drop=("ALL",), add=("KILL",))
    assert spec.capabilities_of(only, MACHINE.capabilities) == ["CAP_KILL"]
    assert len(spec.capabilities_of(Security(privileged=True), MACHINE.capabilities)) == 4


def test_other_users_than_root_have_no_effective_capabilities() -> None:
    process = built(who=user.User(7, 8, (9,)))["process"]
    assert isinstance(process, dict)
    assert process["capabilities"]["effective"] == []
    assert process["capabilities"]["bounding"] == ["CAP_CHOWN", "CAP_KILL"]
    assert process["user"] == {"uid": 7, "gid": 8, "additionalGids": [9]}


def test_limits_make_resources() -> None:
    linux = built()["linux"]
    assert isinstance(linux, dict)
    found = linux["resources"]
    assert found["memory"] == {"limit": 1 << 20, "swap": 1 << 20}
    assert found["cpu"] == {"shares": 256, "quota": 50000, "period": 100000}
    assert found["pids"] == {"limit": 10}
    assert linux["cgroupsPath"] == "/p/x/n/u1/id1"


def test_without_control_groups_no_limits_are_asked() -> None:
    bare = spec.build(
        CONFIG, user.User(0, 0), root="/r", namespaces=PINNED, machine=spec.Machine("x86_64", ())
    )
    assert "cgroupsPath" not in bare["linux"]
    assert bare["linux"]["resources"] == {}


def test_outer_mounts_come_before_inner_ones() -> None:
    mounts = built()["mounts"]
    assert isinstance(mounts, list)
    binds = [(m["destination"], m["options"][-1]) for m in mounts if m["type"] == "bind"]
    assert binds == [("/data", "ro"), ("/data/b", "rw")]


def test_privileged_containers_are_not_masked() -> None:
    linux = built(Security(privileged=True))["linux"]
    assert isinstance(linux, dict)
    assert "maskedPaths" not in linux
    assert "seccomp" not in linux
    ordinary = built()["linux"]
    assert isinstance(ordinary, dict)
    assert "/proc/kcore" in ordinary["maskedPaths"]


def test_seccomp_rules_follow_capabilities_and_architecture() -> None:
    source = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 38,
        "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [], "comment": "x"},
            {
                "names": ["mount"],
                "action": "SCMP_ACT_ALLOW",
                "includes": {"caps": ["CAP_SYS_ADMIN"]},
            },
            {
                "names": ["clone"],
                "action": "SCMP_ACT_ALLOW",
                "excludes": {"caps": ["CAP_SYS_ADMIN"]},
            },
            {"names": ["arm"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64"]}},
        ],
    }
    plain = seccomp.profile(source, "x86_64", [])
    assert [rule["names"] for rule in plain["syscalls"]] == [["read"], ["clone"]]
    assert plain["defaultErrnoRet"] == 38
    admin = seccomp.profile(source, "x86_64", ["CAP_SYS_ADMIN"])
    assert [rule["names"] for rule in admin["syscalls"]] == [["read"], ["mount"]]
    own = seccomp.profile(None, "x86_64", [])
    assert own["defaultAction"] == "SCMP_ACT_ALLOW"
    assert "kexec_load" in own["syscalls"][0]["names"]


PASSWD = "root:x:0:0:root:/root:/bin/sh\nweb:x:101:102::/home/web:/bin/sh\n"
GROUP = "root:x:0:\nweb:x:102:\nextra:x:103:other,web\n"


@pytest.mark.parametrize(
    ("setting", "found"),
    [
        ("", user.User(0, 0, (), "/root")),
        ("web", user.User(101, 102, (103,), "/home/web", named=True)),
        ("101", user.User(101, 102, (103,), "/home/web")),
        ("web:extra", user.User(101, 103, (), "/home/web", named=True)),
        ("4242", user.User(4242, 0, (), "/")),
        ("4242:77", user.User(4242, 77, (), "/")),
    ],
)
def test_users_are_looked_up_in_the_image(setting: str, found: user.User) -> None:
    assert user.resolve(setting, PASSWD, GROUP) == found


def test_unknown_names_are_refused() -> None:
    for setting in ("nobody", "web:nogroup"):
        with pytest.raises(user.UnknownUserError):
            user.resolve(setting, PASSWD, GROUP)
