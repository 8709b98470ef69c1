"""`python -m benchmarks [NAME ...]`: every benchmark, or those named."""

import importlib
import pkgutil
import sys
from collections.abc import Callable

import benchmarks
from benchmarks import machine


def found() -> dict[str, Callable[[], None]]:
    """Every benchmark by name: what the modules `bench_*` list in their `BENCHES`."""
    names = sorted(m.name for m in pkgutil.iter_modules(benchmarks.__path__))
    modules = [importlib.import_module(f"benchmarks.{n}") for n in names if n.startswith("bench_")]
    return {name: bench for module in modules for name, bench in module.BENCHES.items()}


def main() -> None:
    """Print the machine and then a row per figure."""
    benches = found()
    wanted = sys.argv[1:] or list(benches)
    if unknown := [w for w in wanted if w not in benches]:
        raise SystemExit(f"no benchmark {', '.join(unknown)}; there are: {', '.join(benches)}")
    print(machine.traits(), flush=True)
    for name in wanted:
        benches[name]()


if __name__ == "__main__":
    main()
