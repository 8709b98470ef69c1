"""Reads what is known of a pod's containers: runs, termination messages, earlier probe verdicts."""

from collections.abc import Callable, Mapping
from pathlib import Path

from petset.api.meta import Obj, uid_of
from petset.node import podspec, starter
from petset.node.runtime.base import Run
from petset.node.seen import ContainerSeen, Probed, Waiting
from petset.node.tools import Tools

MESSAGE_MAX = 4096
LOG_TAIL_BYTES = 2048
LOG_TAIL_LINES = 80

ProbedOf = Callable[[Obj, Run], Probed]


class Sight:
    """Reads the state of one pod for its worker."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._messages: dict[str, str] = {}

    def runs(self, uid: str, name: str) -> list[Run]:
        """The kept runs of a container, oldest first."""
        return [run for run in self._tools.runtime.runs(uid) if run.name == name]

    def newest(self, uid: str, name: str) -> Run | None:
        """The newest run of a container."""
        return next(reversed(self.runs(uid, name)), None)

    def containers(
        self, pod: Obj, waiting: Mapping[str, Waiting], probed: ProbedOf
    ) -> dict[str, ContainerSeen]:
        """Every container of the pod as it is now."""
        seen = {}
        for spec in podspec.all_containers(pod):
            name: str = spec["name"]
            runs = self.runs(uid_of(pod), name)
            kept = runs[-2:]
            seen[name] = ContainerSeen(
                runs=tuple(kept),
                waiting=waiting.get(f"container:{name}"),
                probed=probed(spec, kept[-1]) if kept else Probed(),
                uncleaned=tuple(r.id for r in runs if r.state == "exited" and not r.cleaned),
                stale=tuple(run.id for run in runs[:-2]),
                termination_message=self._message(spec, kept[-1]) if kept else "",
                last_termination_message=self._message(spec, kept[0]) if len(kept) > 1 else "",
            )
        return seen

    def _message(self, spec: Obj, run: Run) -> str:
        if run.state != "exited":
            return ""
        if run.id not in self._messages:
            self._messages[run.id] = self._read_message(spec, run)
        return self._messages[run.id]

    def _read_message(self, spec: Obj, run: Run) -> str:
        folder = self._tools.pod_dir(run.pod_uid)
        text = _head(starter.termination_file(folder, run.name, run.attempt))
        wants_log = spec.get("terminationMessagePolicy") == "FallbackToLogsOnError"
        if not text and wants_log and run.exit_code:
            return _log_tail(Path(run.log_path))
        return text

    def known(self, pod: Obj, run: Run) -> Probed | None:
        """What the API was last told of a running container, if it is the same run."""
        old = pod.get("status") or {}
        for key in ("containerStatuses", "initContainerStatuses"):
            for status in old.get(key) or ():
                if str(status.get("containerID") or "").endswith(f"//{run.id}"):
                    return Probed(bool(status.get("started")), bool(status.get("ready")))
        return None


def _head(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(MESSAGE_MAX).decode(errors="replace")
    except FileNotFoundError:
        return ""


def _log_tail(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            opened.seek(0, 2)
            opened.seek(max(0, opened.tell() - 4 * LOG_TAIL_BYTES))
            lines = opened.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    texts = [line.split(" ", 3)[3] for line in lines if line.count(" ") >= 3]
    return "\n".join(texts[-LOG_TAIL_LINES:])[-LOG_TAIL_BYTES:]
