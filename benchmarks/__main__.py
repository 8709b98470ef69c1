"""`python -m benchmarks [NAME ...]`: every benchmark, or those named."""

import sys

from benchmarks import bench_cluster, machine

BENCHES = {
    "start": bench_cluster.bench_start,
    "apply": bench_cluster.bench_apply,
    "idle": bench_cluster.bench_idle,
    "kill-server": bench_cluster.bench_kill_server,
    "kill-agent": bench_cluster.bench_kill_agent,
}


def main() -> None:
    """Print the machine and then a row per figure."""
    wanted = sys.argv[1:] or list(BENCHES)
    if unknown := [w for w in wanted if w not in BENCHES]:
        raise SystemExit(f"no benchmark {', '.join(unknown)}; there are: {', '.join(BENCHES)}")
    print(machine.traits(), flush=True)
    for name in wanted:
        BENCHES[name]()


if __name__ == "__main__":
    main()
