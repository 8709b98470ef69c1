"""The examples: their tutorials played as they stand, and members of their databases killed."""

import contextlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from petset.node.runtime import cgroup
from tests.e2e import tutorial
from tests.e2e.conftest import ROOT, Cluster, eventually, kubectl_path

EXAMPLES = ROOT / "examples"
FILLED = 200_000
ODD = 'it\'s "odd" $HOME `:` \\ %s #1'
"""A password, to see it quoted wherever that is needed."""
TUTORIALS = [r for r in sorted(EXAMPLES.glob("*/README.md")) if list(tutorial.steps(r))]


@dataclass(frozen=True)
class Database:
    """An example, and how to write and read numbers with its own client inside a member."""

    name: str
    folder: str
    prepare: str
    """Run once on the primary."""
    write: str
    """Writes $i through the primary's name; succeeds only when the write is acknowledged."""
    read: str
    """Prints every number that this member has."""
    fill: str
    """Run on the primary: writes many numbers, so that it takes a while to apply them."""
    forget: str = ""
    """Run on the primary: throws away the log that replicas follow."""

    @property
    def manifest(self) -> Path:
        return EXAMPLES / self.folder / "manifest.yaml"


REDIS = Database(
    "redis",
    "03-redis-replicas",
    prepare="redis-cli PING",
    write="redis-cli -h redis-0.redis SADD numbers $i | grep -qx '[01]'",
    read="redis-cli SMEMBERS numbers",
    fill=f"(echo SADD numbers; seq {FILLED}) | tr '\\n' ' ' | redis-cli",
)
POSTGRES = Database(
    "postgres",
    "04-postgres-replicas",
    prepare="psql app -c 'CREATE TABLE numbers (n int PRIMARY KEY)'",
    write="PGPASSWORD=$POSTGRES_PASSWORD PGCONNECT_TIMEOUT=2 psql -h postgres-0.postgres "
    '-U postgres app -qc "INSERT INTO numbers VALUES ($i) ON CONFLICT DO NOTHING"',
    read="psql app -Atc 'SELECT n FROM numbers'",
    fill=f"psql app -c 'INSERT INTO numbers SELECT generate_series(1, {FILLED})'",
    forget="psql -c 'ALTER SYSTEM SET wal_keep_size = 0' -c 'SELECT pg_reload_conf()'; "
    "for i in 1 2 3 4; do psql -c 'CREATE TABLE t ()' -c 'DROP TABLE t' "
    "-c 'SELECT pg_switch_wal()' -c 'CHECKPOINT'; done",
)
MARIADB = Database(
    "mariadb",
    "05-mariadb-replicas",
    prepare="mariadb -uapp app -e 'CREATE TABLE numbers (n INT PRIMARY KEY)'",
    write="mariadb -h mariadb-0.mariadb -uapp --connect-timeout=2 app "
    '-e "INSERT IGNORE INTO numbers VALUES ($i)"',
    read="mariadb -uapp app -Ne 'SELECT n FROM numbers'",
    fill=f"mariadb -uapp app -e 'INSERT INTO numbers SELECT seq FROM seq_1_to_{FILLED}'",
    forget="export MYSQL_PWD=\"$MARIADB_ROOT_PASSWORD\"; mariadb -uroot -e 'FLUSH BINARY LOGS'; "
    "last=$(mariadb -uroot -Ne 'SHOW BINARY LOGS' | tail -n 1 | cut -f 1); "
    "until [ $(mariadb -uroot -Ne 'SHOW BINARY LOGS' | wc -l) = 1 ]; do "
    "mariadb -uroot -e \"PURGE BINARY LOGS TO '$last'\"; sleep 0.2; done",
)
DATABASES = [REDIS, POSTGRES, MARIADB]
each = pytest.mark.parametrize("database", DATABASES, ids=lambda d: d.name)


@pytest.mark.parametrize("readme", TUTORIALS, ids=lambda r: r.parent.name)
def test_tutorial_says_what_happens(cluster: Cluster, readme: Path) -> None:
    player = tutorial.Player(cluster)
    for step in tutorial.steps(readme):
        player.play(step)


@each
def test_killed_members_lose_nothing_and_take_up_replication(
    cluster: Cluster, database: Database
) -> None:
    with started(cluster, database) as members:
        sh(cluster, members[0], database.prepare)
        with Writer(cluster, database, members[1]) as writer:
            writer.until(10)
            kill_processes(cluster, database, members[2])
            writer.until(20)
            kill_processes(cluster, database, members[0])
            writer.until(30)
        wanted = {str(n) for n in range(30)}
        assert writer.acknowledged >= wanted
        for member in members:
            read = partial(sh, cluster, member, database.read)
            eventually(partial(has_all, read, writer.acknowledged), f"{member} has every number")
        eventually(lambda: cluster.ready(database.name) == members, "all are in replication")
        pods = cluster.pods(database.name)
        restarts = {n: p["status"]["containerStatuses"][0]["restartCount"] for n, p in pods.items()}
        assert restarts == {members[0]: 1, members[1]: 0, members[2]: 1}


@each
def test_members_that_were_away_are_ready_only_with_all_that_was_written(
    cluster: Cluster, database: Database
) -> None:
    with started(cluster, database) as members:
        sh(cluster, members[0], database.prepare)
        cluster.kubectl("scale", f"sts/{database.name}", "--replicas=1")
        eventually(lambda: list(cluster.pods(database.name)) == members[:1], "they are away", 60)
        sh(cluster, members[0], database.fill)
        cluster.kubectl("scale", f"sts/{database.name}", "--replicas=3")
        for member in members[1:]:
            eventually(partial(is_ready, cluster, database, member), f"{member} Ready", 90)
            numbers = sh(cluster, member, database.read).split()
            assert len(numbers) == FILLED, f"{member} has {len(numbers)} of {FILLED}"


@pytest.mark.parametrize("database", [POSTGRES, MARIADB], ids=lambda d: d.name)
def test_replicas_that_were_away_for_too_long_clone_anew(
    cluster: Cluster, database: Database
) -> None:
    with started(cluster, database) as members:
        sh(cluster, members[0], database.prepare)
        cluster.kubectl("scale", f"sts/{database.name}", "--replicas=1")
        eventually(lambda: list(cluster.pods(database.name)) == members[:1], "they are away", 60)
        sh(cluster, members[0], database.write.replace("$i", "7"))
        sh(cluster, members[0], database.forget)
        cluster.kubectl("scale", f"sts/{database.name}", "--replicas=3")
        eventually(lambda: cluster.ready(database.name) == members, f"{members} Ready", 90)
        assert [sh(cluster, member, database.read) for member in members] == ["7", "7", "7"]
        for member in members[1:]:
            logs = [cluster.kubectl("logs", member, "-c", c) for c in ("clone", database.name)]
            assert "cloned" in "".join(logs)


def test_what_a_probe_leaves_behind_is_no_crash_of_postgres(cluster: Cluster) -> None:
    running = (
        'psql -Atc "SELECT backend_start FROM pg_stat_activity '
        "WHERE backend_type = 'checkpointer'\""
    )
    with started(cluster, POSTGRES, 1) as (primary,):
        before = sh(cluster, primary, running)
        left = sh(cluster, primary, "{ sleep 0.1; exit 3; } >/dev/null 2>&1 & echo $!")
        gone = partial(sh, cluster, primary, f"[ -e /proc/{left} ] || echo gone")
        eventually(gone, f"{left} is reaped")
        assert sh(cluster, primary, running) == before != ""


def test_redis_is_not_ready_while_it_loads_its_data(cluster: Cluster) -> None:
    asked = "redis-cli PING; sh /scripts/ready.sh && echo ready || echo waits; redis-cli PING"
    with started(cluster, REDIS, 1) as (primary,):
        many = "for i=1,20000 do redis.call('SADD', 'numbers', i) end"
        sh(cluster, primary, f'redis-cli EVAL "{many}" 0')
        config = cluster.kubectl("get", "configmap", "redis", "-o", "yaml")
        slow = config.replace("repl-timeout 10", "key-load-delay 500")  # us
        cluster.kubectl("replace", "-f", "-", stdin=slow)
        cluster.kubectl("delete", "pod", primary)
        wanted = re.compile(r"LOADING.*\s+waits\s+LOADING")
        eventually(lambda: wanted.match(sh(cluster, primary, asked)), "it waits while it loads")


def test_a_mariadb_replica_that_went_astray_clones_anew(cluster: Cluster) -> None:
    write = 'MYSQL_PWD="$MARIADB_ROOT_PASSWORD" mariadb -uroot app -e "INSERT INTO numbers VALUES '
    with started(cluster, MARIADB, 2) as (primary, replica):
        sh(cluster, primary, MARIADB.prepare)
        sh(cluster, primary, f'{write} (1)"')
        eventually(lambda: sh(cluster, replica, MARIADB.read) == "1", "the replica has it")
        sh(cluster, replica, f'{write} (2)"')
        sh(cluster, primary, f'{write} (3)"')
        eventually(lambda: "cloned" in cluster.kubectl("logs", replica), "it clones anew")
        eventually(partial(is_ready, cluster, MARIADB, replica), f"{replica} Ready")
        assert sh(cluster, replica, MARIADB.read).split() == ["1", "3"]


def test_a_mariadb_replica_does_not_follow_a_primary_that_lost_its_data(cluster: Cluster) -> None:
    again = "mariadb -uapp app -e 'CREATE TABLE t (n INT); DROP TABLE t'"
    errors = "MYSQL_PWD=\"$MARIADB_ROOT_PASSWORD\" mariadb -uroot -e 'SHOW SLAVE STATUS\\G'"
    with started(cluster, MARIADB, 2) as (primary, replica):
        sh(cluster, primary, MARIADB.prepare)
        sh(cluster, primary, MARIADB.write.replace("$i", "7"))
        eventually(lambda: sh(cluster, replica, MARIADB.read) == "7", "the replica has it")
        cluster.kubectl("delete", "pvc", f"data-{primary}", "--wait=false")
        cluster.kubectl("delete", "pod", primary)
        eventually(partial(is_ready, cluster, MARIADB, primary), "an empty primary is Ready")
        sh(cluster, primary, f"for i in 1 2 3 4 5; do {again}; done")
        refused = partial(sh, cluster, replica, f"{errors} | grep -E 'Errno: (1236|1950)'")
        eventually(refused, "it is not followed")
        left = sh(cluster, replica, "sh /scripts/alive.sh; ls -A /var/lib/mysql")
        assert ".cloned" in left.split()
        assert ".can-not-follow" not in left.split()
        assert sh(cluster, replica, MARIADB.read) == "7"


def test_a_clone_whose_source_vanishes_begins_anew(cluster: Cluster) -> None:
    sql = 'MYSQL_PWD="$MARIADB_ROOT_PASSWORD" mariadb -uroot app'
    with started(cluster, MARIADB, 1) as (primary,):
        sh(cluster, primary, MARIADB.prepare)
        lock = f"{sql} -e 'LOCK TABLES numbers WRITE; SELECT SLEEP(1000)' >/dev/null 2>&1 &"
        sh(cluster, primary, lock)
        cluster.kubectl("scale", "sts/mariadb", "--replicas=2")
        listed = partial(sh, cluster, primary, f"{sql} -e 'SHOW PROCESSLIST'")
        eventually(lambda: "Waiting for table metadata lock" in listed(), "the clone is under way")
        node = cluster.pods("mariadb")[primary]["spec"]["nodeName"]
        cluster.petset("node", "kill", node, "--name", cluster.name)
        cluster.petset("up", "--name", cluster.name, "--kubeconfig", str(cluster.config))
        eventually(partial(is_ready, cluster, MARIADB, "mariadb-1"), "the clone is Ready", 90)


@contextmanager
def started(cluster: Cluster, database: Database, count: int = 3) -> Iterator[list[str]]:
    """The example with its members Ready; afterwards nothing is left of it."""
    name = database.name
    members = [f"{name}-{i}" for i in range(count)]
    manifest = re.sub("change-me-.*", lambda _: json.dumps(ODD), database.manifest.read_text())
    cluster.kubectl("apply", "-f", "-", stdin=manifest.replace("replicas: 2", f"replicas: {count}"))
    try:
        eventually(lambda: cluster.ready(name) == members, f"{members} Ready", 90)
        yield members
    finally:
        cluster.kubectl("delete", "-f", str(database.manifest))
        cluster.kubectl("delete", "pvc", "-l", f"app={name}")


def is_ready(cluster: Cluster, database: Database, member: str) -> bool:
    return member in cluster.ready(database.name)


def has_all(read: Callable[[], str], wanted: set[str]) -> bool:
    return wanted <= set(read().split())


def sh(cluster: Cluster, pod: str, script: str) -> str:
    return cluster.kubectl("exec", pod, "--", "sh", "-c", script, check=False).strip()


def kill_processes(cluster: Cluster, database: Database, member: str) -> None:
    """SIGKILL every process of a member's containers, from outside, as an out-of-memory kill."""
    pod = cluster.pods(database.name)[member]
    top = next(h for h in cgroup.hierarchies() if h.name in ("pids", "cgroup"))
    group = top / "petset" / cluster.name / pod["spec"]["nodeName"] / pod["metadata"]["uid"]
    pids = [int(pid) for file in group.glob("*/cgroup.procs") for pid in file.read_text().split()]
    assert pids
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # a parent's end takes its children along
            os.kill(pid, signal.SIGKILL)


class Writer:
    """Writes 0, 1, 2... from inside a member; a number follows when the last is acknowledged."""

    def __init__(self, cluster: Cluster, database: Database, member: str) -> None:
        script = f"i=0; while true; do if {database.write}; then echo $i; i=$((i + 1)); fi; done"
        inside = ["exec", member, "--", "sh", "-c", f"{{ {script}; }} 2>/dev/null"]
        self._child = subprocess.Popen(
            [kubectl_path(), "--kubeconfig", str(cluster.config), *inside],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.acknowledged: set[str] = set()

    def until(self, count: int) -> None:
        """Wait for so many acknowledged numbers."""
        assert self._child.stdout is not None
        while len(self.acknowledged) < count:
            line = self._child.stdout.readline()
            assert line, "the writer ended"
            self.acknowledged.add(line.strip())

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self._child.terminate()
        rest = self._child.communicate()[0]
        self.acknowledged.update(rest.splitlines())
