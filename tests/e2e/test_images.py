"""Images built from the distribution's packages, for real: needs root, mmdebstrap and a mirror."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from petset.node.images import service
from petset.node.images.local import Record, Store

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(shutil.which("mmdebstrap") is None, reason="needs mmdebstrap"),
    pytest.mark.timeout(180),
]

ENTER = """
set -e
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/u,workdir=$2/w" "$2/m"
mount -t proc proc "$2/m/proc"
mount -t tmpfs tmpfs "$2/m/dev"
for name in null zero urandom; do
    touch "$2/m/dev/$name"
    mount --bind "/dev/$name" "$2/m/dev/$name"
done
ln -s /proc/self/fd "$2/m/dev/fd"
ln -s fd/1 "$2/m/dev/stdout"
ln -s fd/2 "$2/m/dev/stderr"
ip link set lo up
hostname web-0
exec env -i $4 chroot "$2/m" sh -c "$3"
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("images")
    yield folder
    shutil.rmtree(folder)


def run(root: Path, record: Record, script: str, tmp_path: Path) -> str:
    """Run `script` in a container of sorts: own mounts, processes and network."""
    for name in "uwm":
        (tmp_path / name).mkdir()
    layer = Store(root).layer_path(record.layers[0])
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--net", "--uts"]
    command += ["--propagation", "private", "sh", "-c", ENTER, "sh", str(layer), str(tmp_path)]
    done = subprocess.run(
        [*command, script, " ".join(record.config.env)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stdout + done.stderr


async def build(root: Path, name: str) -> Record:
    told: list[str] = []
    record = await service.build(root, name, told.append)
    assert told
    assert list((root / "tmp").iterdir()) == []
    mounts = Path("/proc/mounts").read_text()
    assert str(root) not in mounts
    return record


async def test_busybox(root: Path, tmp_path: Path) -> None:
    record = await build(root, "busybox")
    assert record.size < 5_000_000
    script = "echo x > /tmp/file; cat /tmp/file; ls /; hostname; id -un; which nslookup wget vi"
    words = run(root, record, script, tmp_path).split()
    assert words[0] == "x"
    for word in ("etc", "tmp", "web-0", "root", "/usr/bin/nslookup", "/usr/bin/wget"):
        assert word in words


async def test_building_twice_gives_the_same_image(root: Path) -> None:
    first = await build(root, "busybox")
    second = await build(root, "busybox")
    assert first.id == second.id
    assert len([r for r in Store(root).records() if r.recipe == "busybox"]) == 1


async def test_nginx(root: Path, tmp_path: Path) -> None:
    record = await build(root, "nginx")
    assert record.config.stop_signal == "SIGQUIT"
    assert record.tags == ("docker.io/library/nginx:latest",)
    assert record.note.startswith("nginx 1.")
    command = " ".join([*record.config.entrypoint, *record.config.cmd[:2], "'daemon off;'"])
    script = (
        f"export WHO=me; echo 'server {{ listen 81; return 200 $WHO; }}' | sed 's/me/${{WHO}}/' "
        "> /etc/nginx/templates/who.conf.template\n"
        f"{command} & server=$!\n"
        "for i in 1 2 3 4 5 6 7 8 9 10; do wget -qO- http://127.0.0.1/ && break; sleep 0.2; done\n"
        "wget -qO- http://127.0.0.1:81/; wget -qO- http://127.0.0.1/nope\n"
        "ps | grep 'nginx: worker'; kill -QUIT $server; wait $server; echo ended $?"
    )
    text = run(root, record, script, tmp_path)
    assert "<h1>Welcome to nginx!</h1>" in text
    assert "me" in text
    assert '"GET / HTTP/1.1" 200' in text
    assert '"GET /nope HTTP/1.1" 404' in text
    assert "ended 0" in text
    assert any("nginx: worker" in line and " nginx " in line for line in text.splitlines())
