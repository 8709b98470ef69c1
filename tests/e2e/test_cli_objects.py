"""`petset get|apply|delete|logs|exec`, beside kubectl where there is one."""

import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cli_box import PETSET, Box, Done, box
from tests.e2e.conftest import ROOT, eventually, run

WEB = ROOT / "examples" / "01-web" / "web.yaml"
FALLER = """
apiVersion: v1
kind: Pod
metadata: {name: faller}
spec:
  containers:
  - name: main
    image: nginx
    env: [{name: id, value: /proc/sys/kernel/random/uuid}]
    command: [sh, -c, "echo run of; cat $id; test -e /d/x && exec sleep 1000; >/d/x; exit 3"]
    volumeMounts: [{name: d, mountPath: /d}]
  - {name: calm, image: nginx, command: [sh, -c, "echo calm; sleep 1000"]}
  volumes: [{name: d, emptyDir: {}}]
  terminationGracePeriodSeconds: 0
"""
"""A container falls once, and then stands."""
VIEWS = """
pods
pods -o wide
pods -A
pod web-0
pod web-0 web-2
pod web-0 web-9
pod web-9
pod/web-0 svc/nginx
sts/web
pods -l app=nginx
pods -l app=nothing
pods -l app=nothing -A
pods -n nowhere
svc -o wide
sts -o wide
pvc
pv -o wide
sc
nodes
nodes -o wide
ns
events
endpointslices
endpoints
controllerrevisions
leases -A
all
all -A
pods,svc,pvc
nodes,pods -A
pods -o name
pods,svc -o name
pod web-0 -o name
pod web-0 -o json
pod web-0 -o yaml
pods -o json
pods,pvc -o yaml
cm -A -o yaml
clusterroles
clusterroles -o yaml
"""


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """Two nodes and the set `web`, started."""
    with box(tmp_path_factory.mktemp("objects")) as made:
        made.run("up", "--nodes", "2")
        made.run("apply", "-f", str(WEB))
        eventually(lambda: made.run("get", "pods").out.count("1/1") == 3, "three members", 90)
        yield made


def piped(cluster: Box, *words: str, stdin: str = "") -> Done:
    done = subprocess.run(
        [*PETSET, words[0], "--name", cluster.name, *words[1:]],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("words", VIEWS.strip().splitlines())
def test_get_prints_what_kubectl_prints(web: Box, words: str) -> None:
    if not (kubectl := shutil.which("kubectl")):
        pytest.skip("no kubectl on PATH")

    def theirs() -> Done:
        cache = {**os.environ, "KUBECACHEDIR": str(web.directory / "cache")}
        command = [kubectl, "--kubeconfig", str(web.config), "get", *words.split()]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=cache)
        return Done(done.returncode, done.stdout, done.stderr)

    tries: list[tuple[Done, Done, Done]] = []

    def same() -> bool:  # again where an age has got another length between the two
        tries.append((theirs(), piped(web, "get", *words.split()), theirs()))
        before, ours, after = tries[-1]
        ages = zip(ages_in(before), ages_in(ours), ages_in(after), strict=False)
        return masked(before) == masked(ours) == masked(after) and all(
            first <= mine <= last for first, mine, last in ages
        )

    try:
        eventually(same, "the same output")
    except AssertionError:
        _, ours, other = tries[-1]
        assert ours == other
        raise


AGE = re.compile(r"(?<![\w.-])(?:\d+[ydhms])+(?![\w.-])")
SECONDS = {"y": 31_536_000, "d": 86_400, "h": 3600, "m": 60, "s": 1}


def masked(done: Done) -> tuple[int, str, str]:
    """What a command did, with ages by their length only: they go on between two commands."""
    return done.code, AGE.sub(lambda age: "~" * len(age[0]), done.out), done.err


def ages_in(done: Done) -> list[int]:
    """The ages that a command printed, in seconds."""
    parts = [re.findall(r"(\d+)([ydhms])", age) for age in AGE.findall(done.out)]
    return [sum(int(number) * SECONDS[unit] for number, unit in part) for part in parts]


def test_watch_prints_changes_below_the_columns(web: Box) -> None:
    watching = web.start("get", "pods", "-w")
    try:
        assert watching.stdout is not None
        head = [watching.stdout.readline() for _ in range(4)]
        assert head[0] == "NAME    READY   STATUS    RESTARTS   AGE\n"
        web.run("delete", "pod", "web-2")
        line = watching.stdout.readline()
        assert line.startswith("web-2   1/1     ")
        eventually(lambda: web.run("get", "pods").out.count("1/1") == 3, "web-2 again")
    finally:
        watching.kill()
        watching.communicate()


def test_apply_tells_created_unchanged_configured(web: Box, tmp_path: Path) -> None:
    folder = tmp_path / "manifests"
    folder.mkdir()
    text = "kind: ConfigMap\napiVersion: v1\nmetadata: {name: NAME}\ndata: {a: 'VALUE'}\n"
    (folder / "b.yaml").write_text(text.replace("NAME", "two").replace("VALUE", "1"))
    both = text.replace("NAME", "one").replace("VALUE", "1")
    (folder / "a.yml").write_text(f"---\n{both}---\n# nothing\n---\n")
    (folder / "c.json").write_text(
        '{\n\t"kind": "ConfigMap", "apiVersion": "v1",\n\t"metadata": {"name": "three"}}'
    )
    (folder / "readme.txt").write_text("no manifest")
    names = ["one", "two", "three"]
    assert web.run("apply", "-f", str(folder)).out.splitlines() == [
        f"configmap/{n} created" for n in names
    ]
    assert web.run("apply", "-f", str(folder)).out.splitlines() == [
        f"configmap/{n} unchanged" for n in names
    ]
    (folder / "b.yaml").write_text(text.replace("NAME", "two").replace("VALUE", "2"))
    assert "configmap/two configured" in web.run("apply", "-f", str(folder)).out
    changed = text.replace("NAME", "one").replace("data: {a: 'VALUE'}", "data: {b: '3'}")
    assert piped(web, "apply", "-f", "-", stdin=changed).out == "configmap/one configured\n"
    found: object = web.json("cm", "one")["data"]
    assert found == {"b": "3"}
    gone = web.run("delete", "-f", str(folder)).out
    assert gone.splitlines() == [f'configmap "{n}" deleted' for n in names]
    assert web.run("delete", "cm", "one", ok=False).err.startswith("Error from server (NotFound)")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "no readable YAML"),
        ("a: 1", "without kind or apiVersion"),
        ("{kind: ConfigMap, apiVersion: v1}", "without metadata.name"),
        ("{kind: Gadget, apiVersion: v1, metadata: {name: x}}", 'no matches for kind "Gadget"'),
        ("{kind: 3, apiVersion: v1}", "have to be text"),
    ],
)
def test_bad_manifests_are_refused_by_what_is_wrong(web: Box, text: str, said: str) -> None:
    done = piped(web, "apply", "-f", "-", stdin=text)
    assert done.code == 1
    assert said in done.err
    assert "Traceback" not in done.err


def test_invalid_object_is_refused_in_the_servers_words_and_others_are_applied(web: Box) -> None:
    text = "\n---\n".join(
        f"{{kind: ConfigMap, apiVersion: v1, metadata: {{name: {n}}}}}" for n in ("Bad_", "good")
    )
    done = piped(web, "apply", "-f", "-", stdin=text)
    assert done.code == 1
    assert "metadata.name: Invalid value" in done.err
    assert done.out == "configmap/good created\n"
    web.run("delete", "cm", "good")


def test_delete_waits_until_the_pod_is_gone(web: Box) -> None:
    manifest = web.directory / "faller.yaml"
    manifest.write_text(FALLER.replace("name: faller", "name: leaver"))
    web.run("apply", "-f", str(manifest))
    eventually(lambda: "Running" in web.run("get", "pod", "leaver").out, "leaver runs")
    web.run("delete", "pod", "leaver")
    assert "NotFound" in web.run("get", "pod", "leaver", ok=False).err


def test_deleting_needs_names_labels_or_all(web: Box) -> None:
    assert "say which" in web.refused("delete", "pods")
    for name in ("x1", "x2"):
        text = f"{{kind: ConfigMap, apiVersion: v1, metadata: {{name: {name}, labels: {{x: z}}}}}}"
        piped(web, "apply", "-f", "-", stdin=text)
    gone = web.run("delete", "cm", "-l", "x=z").out
    assert gone == 'configmap "x1" deleted\nconfigmap "x2" deleted\n'


def test_logs_follow_and_previous(web: Box) -> None:
    manifest = web.directory / "faller.yaml"
    manifest.write_text(FALLER)
    web.run("apply", "-f", str(manifest))
    again = r"faller +2/2 +Running +1 "
    eventually(lambda: re.search(again, web.run("get", "pod", "faller").out), "it falls once")
    assert "faller" in web.run("logs", "faller", ok=False).err  # which container?
    said = ("logs", "faller", "-c", "main")
    eventually(lambda: web.run(*said).out.count("\n") == 2, "two lines")
    now = web.run(*said).out
    assert now.startswith("run of\n")
    assert web.run("logs", "faller", "-c", "main", "--tail", "1").out == now.splitlines()[1] + "\n"
    before = web.run("logs", "faller", "-c", "main", "-p").out
    assert before.startswith("run of\n")
    assert before != now
    assert web.run("logs", "faller", "-c", "calm", "-p", ok=False).err.startswith("Error from")
    following = web.start("logs", "web-0", "-f")
    try:
        assert following.stdout is not None
        web.shell(
            "web-1", "curl -s http://web-0.nginx/?follow || wget -qO- http://web-0.nginx/?follow"
        )
        while "follow" not in following.stdout.readline():
            assert following.poll() is None
    finally:
        following.kill()
        following.communicate()
    web.run("delete", "pod", "faller")


def test_exec_passes_codes_and_streams(web: Box) -> None:
    assert web.run("exec", "web-0", "--", "sh", "-c", "exit 7", ok=False).code == 7
    done = web.run("exec", "web-0", "--", "sh", "-c", "echo out; echo err >&2")
    assert (done.out, done.err) == ("out\n", "err\n")
    assert web.run("exec", "web-0", "--", "no-such-program", ok=False).code != 0
    assert "NotFound" in web.run("exec", "web-9", "--", "true", ok=False).err
    member = web.run("exec", "sts/web", "--", "hostname")
    assert (member.out, "using pod/web-0" in member.err) == ("web-0\n", True)
    text = "".join(f"line {n}\n" for n in range(20_000))
    assert piped(web, "exec", "-i", "web-0", "--", "cat", stdin=text).out == text
    assert piped(web, "exec", "-i", "web-0", "--", "wc", "-c", stdin="").out.strip() == "0"


def test_exec_with_a_terminal_has_its_size_and_gives_it_back(web: Box) -> None:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
    before = termios.tcgetattr(slave)
    shell = subprocess.Popen(
        [*PETSET, "exec", "--name", web.name, "-it", "web-0", "--", "sh"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    try:
        see(master, shell, b"# ")
        os.write(master, b"stty size; tty\n")
        see(master, shell, b"33 101\r\n/dev/pts/")
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 44, 102, 0, 0))
        shell.send_signal(signal.SIGWINCH)
        os.write(master, b"while [ \"$(stty size)\" != '44 102' ]; do :; done; echo resi''zed\n")
        see(master, shell, b"resized")
        os.write(master, b"exit 5\n")
        assert shell.wait(30) == 5
    finally:
        shell.kill()
        shell.wait()
    assert termios.tcgetattr(slave) == before
    os.close(master)
    os.close(slave)


def see(master: int, shell: "subprocess.Popen[bytes]", what: bytes) -> bytes:
    """Read the terminal until it shows `what`."""
    seen, limit = b"", time.monotonic() + 30
    while what not in seen:
        assert time.monotonic() < limit, seen
        assert shell.poll() is None, seen
        if select.select([master], [], [], 0.1)[0]:
            seen += os.read(master, 65536)
    return seen


def test_scale_changes_the_number_of_members(web: Box) -> None:
    assert web.run("scale", "sts/web", "--replicas=2").out == "statefulset.apps/web scaled\n"
    eventually(lambda: web.run("get", "pods", "-l", "app=nginx").out.count("\n") == 3, "two left")
    assert web.run("scale", "sts", "web", "--replicas", "3").out == "statefulset.apps/web scaled\n"
    eventually(lambda: web.run("get", "pods").out.count("1/1") == 3, "three members")


def test_output_that_nobody_reads_ends_quietly(web: Box) -> None:
    words = [*PETSET, "get", "--name", web.name, "all", "-A", "-o", "yaml"]
    done = subprocess.run(
        ["bash", "-c", 'set -o pipefail; "$@" | head -1', "x", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "apiVersion: v1\n"
    assert "Traceback" not in done.stderr
    assert "Error" not in done.stderr


def test_help_of_every_command_names_its_options() -> None:
    overview = run([*PETSET, "--help"])
    names = [
        line.split("  ")[1].strip()
        for line in overview.splitlines()
        if line.startswith("  ") and len(line.split("  ")) > 2
    ]
    assert {"up", "down", "status", "node add", "image ls", "get", "exec"} <= set(names)
    for name in names:
        text = run([*PETSET, *name.split(), "--help"])
        assert text.startswith(f"usage: petset {name}")
