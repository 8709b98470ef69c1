"""Commands about kubectl itself: its configuration, its plugins, completion. Every version."""

import stat
from dataclasses import replace

from tests.e2e.kubectl_player import Done, Player, Walk

LOCAL = Walk("kubectl itself")
OWN = {"KUBECONFIG": "own.conf"}


def own(p: Player, *words: str, code: int = 0) -> Done:
    """Run with a configuration of its own; what kubectl asks for is not given."""
    return replace(p, bare=True).run(*words, code=code, env=OWN, stdin="n\nn\n")


@LOCAL.step("config set-cluster, set-credentials, set-context, use-context")
def write_config(p: Player) -> None:
    where = p.run("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}").out
    own(p, "config", "set-cluster", "c", f"--server={where}", "--insecure-skip-tls-verify=true")
    own(p, "config", "set-credentials", "u", "--username=nobody", "--password=none")
    own(p, "config", "set-context", "x", "--cluster=c", "--user=u", "--namespace=default")
    own(p, "config", "use-context", "x").says(r'Switched to context "x"')
    own(p, "config", "current-context").says(r"\Ax\n\Z")
    refused = own(p, "get", "pods", code=1)
    refused.says(r"(?i)unauthorized|must be logged in")


@LOCAL.step("config get-contexts, get-clusters, get-users")
def read_config(p: Player) -> None:
    own(p, "config", "get-contexts").says(r"^\* +x +c +u +default$")
    own(p, "config", "get-clusters").says(r"^c$")
    own(p, "config", "get-users").says(r"^u$")


@LOCAL.step("config set, unset, rename-context")
def change_config(p: Player) -> None:
    own(p, "config", "set", "clusters.c.server", "https://127.0.0.1:1")
    own(p, "config", "view", "-o", "jsonpath={.clusters[0].cluster.server}").says(
        r"127\.0\.0\.1:1\Z"
    )
    own(p, "config", "unset", "contexts.x.namespace")
    own(p, "config", "rename-context", "x", "y").says("renamed")
    own(p, "config", "get-contexts", "-o", "name").says(r"\Ay\n\Z")
    unreachable = own(p, "get", "pods", code=1)
    unreachable.says("refused")


@LOCAL.step("config delete-context, delete-cluster, delete-user")
def delete_config(p: Player) -> None:
    own(p, "config", "delete-context", "y").says("deleted context y")
    own(p, "config", "delete-cluster", "c").says("deleted cluster c")
    own(p, "config", "delete-user", "u").says("deleted user u")
    own(p, "config", "view").says(r"^clusters: (null|\[\])$")


@LOCAL.step("completion")
def completion(p: Player) -> None:
    bare = replace(p, bare=True)
    for shell in ("bash", "zsh", "fish", "powershell"):
        p.run("completion", shell).says("kubectl")
    bare.run("__complete", "get", "pods", "web-").says(r"\Aweb-0\nweb-1\n")
    bare.run("__complete", "get", "stat").says(r"^statefulsets")
    bare.run("__complete", "-n", "def").says(r"^default$")


@LOCAL.step("plugin list")
def plugins(p: Player) -> None:
    name = p.file("plugins/kubectl-hello", "#!/bin/sh\necho hello from a plugin\n")
    path = p.home / name
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    env = {"PATH": str(path.parent)}
    p.run("plugin", "list", env=env).says("kubectl-hello")
    said = replace(p, bare=True).run("hello", env=env)
    said.must(said.out == "hello from a plugin\n", "runs the plugin")


LOCAL.plain("options", r"^ +--as=''")


@LOCAL.step("kuberc set, view", since="1.36")
def preferences(p: Player) -> None:
    p.file("own.kuberc", "apiVersion: kubectl.config.k8s.io/v1beta1\nkind: Preference\n")
    file = "--kuberc=own.kuberc"
    words = ["--section=defaults", "--command=get", "--option=output=name"]
    p.run("kuberc", "set", file, *words)
    p.run("kuberc", "view", file).says(r"name: output")
    p.run("get", "pod", "web-0", file).says(r"\Apod/web-0\n\Z")
