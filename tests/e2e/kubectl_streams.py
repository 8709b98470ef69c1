"""Logs and streams, every version: SPDY up to 1.28, WebSocket from 1.29 on, both from 1.31."""

import os
import pty
import re
import signal
import subprocess
import termios
import threading
import urllib.request

from tests.e2e.kubectl_player import Player, RefusedError, Walk

STREAMS = Walk("Logs and streams")
plain, step = STREAMS.plain, STREAMS.step
LINES = "".join(f"line-{i}\n" for i in range(1, 6))
BIG = os.urandom(5_000_000)
TEN_MB = os.urandom(10_000_000)

plain("logs talker -c one", rf"\A{LINES}\Z")
plain("logs talker", r"Defaulted container \"one\" out of: one, two\n")
plain("logs talker -c one --tail=2", r"\Aline-4\nline-5\n\Z")
plain("logs talker -c one --tail=0", r"\A\Z")
plain("logs talker -c one --since=1h", rf"\A{LINES}\Z")
plain("logs talker -c one --since-time=2001-01-01T00:00:00Z", rf"\A{LINES}\Z")
plain("logs talker -c one --since-time=2199-01-01T00:00:00Z", r"\A\Z")
plain("logs talker -c one --timestamps", r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z line-1\n")
plain("logs talker -c one --limit-bytes=9", r"\Aline-1\nli\Z")
plain("logs talker --all-containers", r"(?s)(?=.*line-5)(?=.*other)")
plain("logs talker --all-containers --prefix", r"^\[pod/talker/one\] line-1$")
plain("logs -l role=talker --all-containers", r"(?s)(?=.*line-5)(?=.*other)")
plain("logs -l role=talker -c one --max-log-requests=1 --ignore-errors", r"line-5")
plain("logs sts/web", r"Found 2 pods, using pod/web-\d")
plain("logs sts/web --all-pods", r"(?s)(?=.*pod/web-0)(?=.*pod/web-1)", since="1.31")
plain("logs failing", r"\Asecond life\n\Z")
plain("logs failing --previous", r"\Afirst life\n\Z")
plain(
    "logs talker -c one --previous",
    r"previous terminated container \"one\" in pod \"talker\" not found",
    code=1,
)
plain("logs talker -c nobody", r"container nobody is not valid for pod talker", code=1)
plain("logs nobody", r'NotFound\): pods "nobody" not found', code=1)


@step("logs -f")
def follow(p: Player) -> None:
    words = [f"{word}-{p.version}" for word in ("before", "during")]
    say = ["exec", "listener", "--", "sh", "-c"]
    p.run(*say, f"echo {words[0]} > /proc/1/fd/1")
    with p.running("logs", "-f", "listener") as logs:
        logs.until(rf"^{words[0]}$")
        p.run(*say, f"echo {words[1]} > /proc/1/fd/1")
        logs.until(rf"^{words[1]}$")


@step("exec")
def execute(p: Player) -> None:
    done = p.run("exec", "web-0", "--", "sh", "-c", "echo out; echo err >&2; hostname")
    done.must(done.out == "out\nweb-0\n" and done.err == "err\n", "streams are apart")


@step("exec, exit code")
def exit_code(p: Player) -> None:
    p.run("exec", "web-0", "--", "sh", "-c", "exit 42", code=42).says("exit code 42")


@step("exec -i, 5 MB each way")
def pipe(p: Player) -> None:
    done = p.run("exec", "-i", "web-0", "--", "cat", stdin=BIG)
    assert done.raw == BIG, f"{len(done.raw)} of {len(BIG)} bytes came back"


@step("exec -i, standard input ends")
def input_ends(p: Player) -> None:
    p.run("exec", "-i", "web-0", "--", "wc", "-c", stdin=BIG[:100_000]).says(r"^\s*100000\s*$")


@step("exec -it")
def terminal(p: Player) -> None:
    words = ("exec", "-it", "web-0", "--", "sh")
    script = "tty\nstty size\nexit 5\n"
    code, text = in_terminal(p, words, script, r"[$#] ")
    assert code == 5, text
    assert re.search(r"/dev/pts/\d+", text), text
    assert "33 77" in text, text


@step("exec -it, resize")
def resize(p: Player) -> None:
    words = ("exec", "-it", "web-0", "--", "sh")
    script = 'until test "$(stty size)" = "44 99"; do sleep 0.1; done; exit 6\n'
    code, text = in_terminal(p, words, script, r"[$#] ", size=(44, 99))
    assert code == 6, text


@step("exec over SPDY")
def exec_spdy(p: Player) -> None:
    old = {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false"}
    done = p.run("exec", "-i", "web-0", "--", "wc", "-c", stdin=BIG[:100_000], env=old)
    done.says(r"^\s*100000\s*$")
    p.run("exec", "web-0", "--", "sh", "-c", "exit 42", code=42, env=old)


def in_terminal(
    p: Player,
    words: tuple[str, ...],
    script: str,
    ready: str,
    size: tuple[int, int] | None = None,
) -> tuple[int, str]:
    """Run in a terminal of 33 x 77, type `script` when `ready` shows; exit code and screen.

    With `size`, the terminal gets so many rows and columns before that.
    """
    master, slave = pty.openpty()
    subprocess.run(["stty", "rows", "33", "cols", "77"], stdin=slave, check=True)
    process = subprocess.Popen(
        p.command(*words), stdin=slave, stdout=slave, stderr=slave, env=p.env(), cwd=p.home
    )
    os.close(slave)
    alarm = threading.Timer(60, process.kill)
    alarm.start()
    seen, typed = "", False
    try:
        while piece := _read(master):
            seen += piece
            if not typed and re.search(ready, seen):
                if size is not None:
                    termios.tcsetwinsize(master, size)
                    process.send_signal(signal.SIGWINCH)
                os.write(master, script.encode())
                typed = True
        return process.wait(10), seen
    finally:
        alarm.cancel()
        process.kill()
        process.wait()
        os.close(master)


def _read(terminal_fd: int) -> str:
    try:
        return os.read(terminal_fd, 65536).decode(errors="replace")
    except OSError:  # the other end is closed
        return ""


@step("exec -c nobody")
def no_container(p: Player) -> None:
    p.run("exec", "talker", "-c", "nobody", "--", "true", code=1).says(
        "container nobody is not valid for pod talker|container not found"
    )


@step("exec of a program that is not there")
def no_program(p: Player) -> None:
    done = p.run("exec", "web-0", "--", "nonsense-program", code=None)
    done.must(done.code in (126, 127, 1), "a failure")
    done.says("nonsense-program")


@step("exec sts/web")
def exec_set(p: Player) -> None:
    p.run("exec", "sts/web", "--", "hostname").says(r"^web-\d$")


@step("attach")
def attach(p: Player) -> None:
    word = f"attached-{p.version}"
    with p.running("attach", "-i", "listener") as talk:
        talk.until("command prompt|If you don't see")
        talk.type(f"{word}\n")
        talk.until(rf"^heard {word}$")


@step("cp file to a pod and back")
def copy(p: Player) -> None:
    p.file("big", TEN_MB)
    there = f"default/web-0:/tmp/big-{p.version}"
    p.run("cp", "big", there)
    p.run("cp", there, "back")
    assert (p.home / "back").read_bytes() == TEN_MB
    p.run("exec", "web-0", "--", "rm", f"/tmp/big-{p.version}")


@step("cp folder to a pod and back")
def copy_folder(p: Player) -> None:
    for i in range(20):
        p.file(f"many/deep/{i}", f"{i}\n" * i)
    where = f"/tmp/many-{p.version}"
    p.run("cp", "many", f"talker:{where}", "-c", "two")
    p.run("cp", f"talker:{where}", "many-back", "-c", "two")
    for i in range(20):
        assert (p.home / "many-back" / "deep" / str(i)).read_text() == f"{i}\n" * i


FORWARD = r"Forwarding from 127\.0\.0\.1:(\d+) -> 80"


def fetch(port: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as answer:
        return str(answer.read().decode())


def forwards(p: Player, target: str, port: str, env: dict[str, str] | None = None) -> None:
    with p.running("port-forward", target, port, "--address=127.0.0.1", env=env) as forward:
        found = forward.until(FORWARD)
        for _ in range(3):
            assert "nginx" in fetch(found[1])


@step("port-forward pod/web-0 :80")
def forward_pod(p: Player) -> None:
    forwards(p, "pod/web-0", ":80")


@step("port-forward svc/web :http")
def forward_service(p: Player) -> None:
    forwards(p, "svc/web", ":http")


@step("port-forward sts/web :80")
def forward_set(p: Player) -> None:
    forwards(p, "sts/web", ":80")


@step("port-forward over SPDY")
def forward_spdy(p: Player) -> None:
    forwards(p, "pod/web-0", ":80", {"KUBECTL_PORT_FORWARD_WEBSOCKETS": "false"})


@step("port-forward over WebSocket", since="1.30")
def forward_websocket(p: Player) -> None:
    forwards(p, "pod/web-0", ":80", {"KUBECTL_PORT_FORWARD_WEBSOCKETS": "true"})


@step("port-forward to a port where nobody listens")
def forward_nowhere(p: Player) -> None:
    with p.running("port-forward", "talker", ":81", "--address=127.0.0.1") as forward:
        found = forward.until(r"Forwarding from 127\.0\.0\.1:(\d+) -> 81")
        try:
            fetch(found[1])
        except OSError:
            pass
        else:
            raise AssertionError("somebody answered")
        forward.until(r"(?i)refused|error")


@step("proxy")
def proxy(p: Player) -> None:
    with p.running("proxy", "--port=0") as through:
        found = through.until(r"Starting to serve on 127\.0\.0\.1:(\d+)")
        url = f"http://127.0.0.1:{found[1]}/api/v1/namespaces/default/pods/web-0"
        with urllib.request.urlopen(url, timeout=20) as answer:
            assert b'"kind":"Pod"' in answer.read().replace(b" ", b"")


@step("debug")
def debug(p: Player) -> None:
    p.refused(
        "debug",
        "web-0",
        "--image=busybox",
        "--",
        "true",
        says=r"petset does not support pods/ephemeralcontainers yet",
    )


@step("debug --copy-to --share-processes=false")
def debug_copy(p: Player) -> None:
    name = f"copy-{p.version.replace('.', '-')}"
    words = ["talker", f"--copy-to={name}", "--share-processes=false", "-c", "tool"]
    p.run("debug", *words, "--image=busybox", "--", "sleep", "100000")
    try:
        p.run("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")
        p.run("exec", name, "-c", "tool", "--", "hostname").says(name)
    finally:
        p.run("delete", "pod", name, "--now", "--wait=false")


@step("debug node/node-1")
def debug_node(p: Player) -> None:
    done = p.run("debug", "node/node-1", "--image=busybox", "--", "true")
    found = re.search(r"node-debugger-\S+", done.all)
    done.must(found, "names a pod")
    assert found is not None
    why = "petset does not support hostIPC yet"
    told = "jsonpath={.status.containerStatuses[0].state.waiting.message}"
    try:
        p.run("wait", f"--for={told}={why}", f"pod/{found[0]}", "--timeout=60s")
        raise RefusedError(why)
    finally:
        p.run("delete", "pod", found[0], "--now", "--wait=false")
