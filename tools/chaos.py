"""Random faults on a real cluster of its own: `python tools/chaos.py [--seed N] [--rounds N]`.

Each round changes something, kills something at a random moment, brings the cluster up again, and
waits until all is as wanted. All the while an observer reads from the kernel whether two pods of
one name ever run at once. At the end everything is deleted, and nothing may be left behind. Needs
root. The seed is printed first: the same seed makes the same choices (the machine's timing is its
own).
"""

import argparse
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.e2e import faults
from tests.e2e.conftest import Cluster, eventually, make_cluster

SETS = {"db": "OrderedReady", "mq": "Parallel"}
REPLICAS_MAX = 4
MOMENT_MAX_S = 1.2


class Campaign:
    """One cluster and what is wanted of it."""

    def __init__(self, cluster: Cluster, rng: random.Random) -> None:
        self.cluster = cluster
        self.rng = rng
        self.wanted = dict.fromkeys(SETS, 0)

    # -- changes --------------------------------------------------------------------------------

    def _scale(self) -> str:
        name = self.rng.choice(list(SETS))
        self.wanted[name] = self.rng.randint(0, REPLICAS_MAX)
        self.cluster.kubectl("scale", f"sts/{name}", f"--replicas={self.wanted[name]}")
        return f"scale {name} to {self.wanted[name]}"

    def _roll(self) -> str:
        name = self.rng.choice(list(SETS))
        faults.roll(self.cluster, name)
        return f"roll {name}"

    def _delete_pods(self) -> str:
        names = self._some_pods()
        if names:
            self.cluster.kubectl("delete", "pod", *names, "--wait=false", "--ignore-not-found")
        return f"delete {' '.join(names)}"

    def _force_delete(self) -> str:
        names = self._some_pods()[:1]
        if names:
            words = ["--force", "--grace-period=0", "--ignore-not-found"]
            self.cluster.kubectl("delete", "pod", *names, *words)
        return f"force-delete {' '.join(names)}"

    def _recreate(self) -> str:
        name = self.rng.choice(list(SETS))
        self.cluster.kubectl("delete", "sts", name, "--wait=false", "--ignore-not-found")
        self._apply(name, self.rng.randint(1, REPLICAS_MAX))
        return f"recreate {name} with {self.wanted[name]}"

    def _nothing(self) -> str:
        return "no change"

    def _apply(self, name: str, replicas: int) -> None:
        self.wanted[name] = replicas
        probe = {"exec": {"command": ["true"]}, "periodSeconds": 1}
        manifest = faults.member_set(name, replicas, policy=SETS[name], readinessProbe=probe)
        # While the old set is being deleted an apply would only patch it.
        eventually(
            lambda: (
                "deletionTimestamp"
                not in self.cluster.kubectl("get", "sts", name, "-o", "json", "--ignore-not-found")
            ),
            f"the old {name} is gone",
        )
        self.cluster.kubectl("apply", "-f", "-", stdin=manifest)

    def _some_pods(self) -> list[str]:
        names = [n for app in SETS for n in sorted(self.cluster.pods(app))]
        return self.rng.sample(names, min(len(names), self.rng.randint(1, 3)))

    # -- faults ---------------------------------------------------------------------------------

    def _kill_server(self) -> str:
        faults.kill_process(self.cluster, "server")
        return "server killed"

    def _kill_agents(self) -> str:
        agents = faults.agents(self.cluster)
        chosen = self.rng.sample(agents, self.rng.randint(1, len(agents))) if agents else []
        for agent in chosen:
            faults.kill_process(self.cluster, agent)
        return f"killed {' '.join(chosen)}"

    def _kill_both(self) -> str:
        return f"{self._kill_server()}, {self._kill_agents()}"

    def _kill_conmon(self) -> str:
        lines = [line for line in faults.processes(self.cluster) if "conmon" in line]
        if lines:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(self.rng.choice(lines).split()[0]), signal.SIGKILL)
        return "a conmon killed"

    def _kill_node(self) -> str:
        node = self.rng.choice(faults.node_names(self.cluster))
        self.cluster.petset("node", "kill", node, "--name", self.cluster.name, check=False)
        return f"{node} killed"

    def _power_cut(self) -> str:
        faults.power_cut(self.cluster)
        return "power cut"

    # -- rounds ---------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Start the sets."""
        for name in SETS:
            self._apply(name, 2)

    def round(self, number: int) -> None:
        """One change, one or two faults, and the way back."""
        changes = [
            self._scale,
            self._scale,
            self._roll,
            self._delete_pods,
            self._force_delete,
            self._recreate,
            self._nothing,
        ]
        blows = [
            self._kill_server,
            self._kill_agents,
            self._kill_agents,
            self._kill_both,
            self._kill_conmon,
            self._kill_node,
            self._power_cut,
        ]
        told = [self.rng.choice(changes)()]
        for _ in range(self.rng.randint(1, 2)):
            time.sleep(self.rng.random() * MOMENT_MAX_S)  # the moment of the fault
            told.append(self.rng.choice(blows)())
            if self.rng.random() < 0.5:
                faults.up(self.cluster)
        print(f"{number:4} {'; '.join(told)}", flush=True)
        faults.up(self.cluster)
        for name, replicas in self.wanted.items():
            members = [f"{name}-{ordinal}" for ordinal in range(replicas)]
            faults.expect_ready(self.cluster, name, members, 240)


def main() -> None:
    """Run a campaign; any broken promise ends it with an exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--nodes", type=int, default=3)
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        cluster = make_cluster(Path(directory), given.nodes)
        print(f"cluster {cluster.name}", flush=True)
        campaign = Campaign(cluster, faults.seeded(given.seed))
        try:
            with faults.observed(cluster) as watched:
                campaign.prepare()
                for number in range(1, given.rounds + 1):
                    campaign.round(number)
                faults.delete_all(cluster)
                faults.expect_no_traces(cluster, 60)
            pods = sum(len(uids) for uids in watched.seen.values())
            print(f"{pods} pods seen in {watched.samples} looks; never two of one name at once")
        except BaseException:
            print(f"failed; again with: python tools/chaos.py --seed {given.seed}", flush=True)
            raise
        finally:
            if not os.environ.get("CHAOS_KEEP"):
                cluster.petset("down", "--name", cluster.name, "--delete-data", check=False)


if __name__ == "__main__":
    main()
