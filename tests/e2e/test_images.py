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
set -e  # nothing of the machine's own (proc, devices) is within reach of what runs inside
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/u,workdir=$2/w" "$2/m"
mount -t proc -o ro proc "$2/m/proc"
mount -t tmpfs tmpfs "$2/m/dev"
mknod -m 666 "$2/m/dev/null" c 1 3
mknod -m 666 "$2/m/dev/zero" c 1 5
mknod -m 666 "$2/m/dev/urandom" c 1 9
ln -s /proc/self/fd "$2/m/dev/fd"
ln -s fd/1 "$2/m/dev/stdout"
ln -s fd/2 "$2/m/dev/stderr"
ip link set lo up
hostname web-0
exec env -i $4 chroot "$2/m" sh -c "cd '${5:-/}'; $3"
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
        [*command, script, " ".join(record.config.env), record.config.working_dir],
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
        "for i in $(seq 100); do wget -qO- http://127.0.0.1/ && break; sleep 0.2; done\n"
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


REDIS = """
docker-entrypoint.sh redis-server --appendonly yes >/tmp/log & server=$!
for i in $(seq 100); do redis-cli ping 2>&1 | grep PONG && break; sleep 0.1; done
redis-cli set key value | grep OK; redis-cli config get protected-mode; ps | grep redis-server
kill $server; wait $server; echo ended $?; ls -l / | grep data; ls /data
"""

POSTGRES = """
docker-entrypoint.sh postgres; echo refused $?
export POSTGRES_PASSWORD='s3 c"r' POSTGRES_DB=app
mkdir -p $PGDATA/.new; touch $PGDATA/.new/PG_VERSION
echo 'CREATE TABLE t (a int); INSERT INTO t VALUES (41);' > /docker-entrypoint-initdb.d/1.sql
start_it='docker-entrypoint.sh postgres -c work_mem=5MB'
for start in "$start_it" "su -s /bin/sh postgres -c 'exec $start_it'"; do
    eval "exec $start" >/tmp/log 2>&1 & server=$!
    for i in $(seq 200); do pg_isready -q -h 127.0.0.1 && break; sleep 0.1; done
    psql -h 127.0.0.1 -U postgres app -Atc 'SHOW work_mem'
    psql -h 127.0.0.1 -U postgres app -Atc "UPDATE t SET a = a + 1 RETURNING 'a=' || a"
    kill -INT $server; wait $server; echo ended $?
    chmod -R g+rwXs $PGDATA # as a volume's fsGroup does
done
chmod 0700 $PGDATA
grep -c 'host all all all scram-sha-256' $PGDATA/pg_hba.conf; ls -ld $PGDATA; ls -a $PGDATA
"""

MARIADB = r"""
docker-entrypoint.sh mariadbd; echo refused $?
export MARIADB_ROOT_PASSWORD='s3 c"\\r' MYSQL_DATABASE=my_app MYSQL_USER=joe MYSQL_PASSWORD=pw
mkdir -p /var/lib/mysql/.new/mysql
echo 'CREATE TABLE t (a int); INSERT INTO t VALUES (41);' > /docker-entrypoint-initdb.d/1.sql
for round in first second; do
    docker-entrypoint.sh --max-connections=33 >/tmp/log 2>&1 & server=$!
    for i in $(seq 200); do
        mariadb -h 127.0.0.1 -ujoe -ppw my_app -e 'SELECT 1' >/dev/null 2>&1 && break
        sleep 0.1
    done
    mariadb -h 127.0.0.1 -ujoe -ppw my_app -Ne \
        "UPDATE t SET a = a + 1; SELECT concat('a=', a) FROM t"
    MYSQL_PWD=$MARIADB_ROOT_PASSWORD mariadb -h 127.0.0.1 -uroot -Ne \
        'SELECT current_user(), @@max_connections'
    kill $server; wait $server; echo ended $?
done
ls -a /var/lib/mysql; mariadb-backup --version; socat -V | head -1
"""

PYTHON = """
python -c 'import json, sqlite3, ssl; print(len(ssl.create_default_context().get_ca_certs()) > 50)'
python3 -c 'import sys; print(sys.version)'; pip --version
"""


@pytest.mark.parametrize(
    ("name", "script", "expected"),
    [
        ("redis", REDIS, ["PONG", "OK", "protected-mode\nno", "ended 0", "appendonlydir"]),
        ("postgres", POSTGRES, ["refused 1", "5MB", "a=42", "a=43", "ended 0", "drwx------"]),
        (
            "mariadb",
            MARIADB,
            [
                "refused 1",
                "a=42",
                "a=43",
                "root@%\t33",
                "ended 0",
                "my_app",
                "socat by",
                "backup based on",
            ],
        ),
        ("python", PYTHON, ["True", "3.", "pip "]),
    ],
)
async def test_the_other_recipes(
    root: Path, tmp_path: Path, name: str, script: str, expected: list[str]
) -> None:
    record = await build(root, name)
    text = run(root, record, f"{script}\nbash -c 'echo bash is $((6 * 7))'", tmp_path)
    for words in [*expected, "bash is 42"]:
        assert words in text, text
    assert "\n.new" not in text
