"""What comes next for a pod, case by case."""

from petset.node import plan as plans
from petset.node.plan import (
    AbortStart,
    Clean,
    Confirm,
    Drop,
    Forget,
    Judge,
    MakeSandbox,
    MountVolumes,
    RemoveSandbox,
    Start,
    Stop,
    UnmountVolumes,
    plan,
)
from petset.node.runtime.base import Sandbox
from petset.node.seen import Probed, Verdict, Waiting
from tests.unit.node.pods import NOW, container, ended, pod, run, seen

DELETING = {"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 7}


def test_sandbox_and_volumes_are_made_together() -> None:
    found = plan(seen(sandbox=None, volumes="none"), NOW)
    assert found.actions == (MakeSandbox(), MountVolumes())


def test_what_failed_waits_for_its_time() -> None:
    waiting = {"volumes": Waiting("x", "y", NOW + 3)}
    found = plan(seen(volumes="none", waiting=waiting), NOW)
    assert found.actions == ()
    assert found.requeue_after_s == 3
    assert plan(seen(volumes="none", waiting=waiting), NOW + 3).actions == (MountVolumes(),)


def test_containers_start_one_after_the_other() -> None:
    two = pod(containers=[{"name": "a"}, {"name": "b"}])
    assert plan(seen(two), NOW).actions == (Start("a", 0, 0),)
    assert plan(seen(two, busy=frozenset({"start"})), NOW).actions == ()
    a = {"a": container(run("a"), ready=False)}
    assert plan(seen(two, containers=a), NOW).actions == (Start("b", 0, 0),)


def test_init_containers_go_first_and_must_succeed() -> None:
    both = pod(initContainers=[{"name": "i"}])
    assert plan(seen(both), NOW).actions == (Start("i", 0, 0),)
    assert plan(seen(both, containers={"i": container(run("i"))}), NOW).actions == ()
    done = {"i": container(ended(0, name="i"))}
    assert plan(seen(both, containers=done), NOW).actions == (Start("c", 0, 0),)
    failed = {"i": container(ended(1, name="i"))}
    assert plan(seen(both, containers=failed), NOW + 5).actions == (Start("i", 1, 1),)


def test_a_sidecar_must_be_started_before_what_follows() -> None:
    both = pod(initContainers=[{"name": "s", "restartPolicy": "Always"}])
    starting = {"s": container(run("s"))}
    assert plan(seen(both, containers=starting), NOW).actions == (Start("c", 0, 0),)
    slow = {"s": container(run("s")).__class__(runs=(run("s"),), probed=Probed())}
    assert plan(seen(both, containers=slow), NOW).actions == ()


def test_a_sidecar_is_restarted_beside_running_containers() -> None:
    both = pod(initContainers=[{"name": "s", "restartPolicy": "Always"}])
    containers = {"s": container(ended(0, name="s")), "c": container(run())}
    assert plan(seen(both, containers=containers), NOW + 5).actions == (Start("s", 1, 1),)


def test_first_restart_is_at_once_and_the_second_waits() -> None:
    once = seen(containers={"c": container(ended(1))})
    assert plan(once, NOW + 5).actions == (Start("c", 1, 1),)
    twice = seen(containers={"c": container(ended(1, attempt=1, backoff=1))})
    found = plan(twice, NOW + 5)
    assert found.actions == ()
    assert found.requeue_after_s == 10
    assert plan(twice, NOW + 15).actions == (Start("c", 2, 2),)


def test_a_long_run_resets_the_back_off() -> None:
    long = ended(1, attempt=5, backoff=5, finished_at=NOW + 600)
    found = plan(seen(containers={"c": container(long)}), NOW + 600)
    assert found.actions == (Start("c", 6, 1),)


def test_never_and_on_failure_do_not_restart_what_succeeded() -> None:
    for policy in ("Never", "OnFailure"):
        done = seen(pod(restartPolicy=policy), containers={"c": container(ended(0))})
        assert plan(done, NOW + 5).actions == (UnmountVolumes(),)
    failed = seen(pod(restartPolicy="OnFailure"), containers={"c": container(ended(1))})
    assert plan(failed, NOW + 5).actions == (Start("c", 1, 1),)


def test_a_finished_pod_is_cleared_but_stays() -> None:
    done = pod(restartPolicy="Never")
    over = {"c": container(ended(0))}
    assert plan(seen(done, containers=over, volumes="none"), NOW).actions == (RemoveSandbox(),)
    cleared = seen(done, containers=over, volumes="none", sandbox=None)
    assert plan(cleared, NOW).actions == ()


def test_deletion_stops_with_its_own_grace_then_clears_then_confirms() -> None:
    leaving = pod(metadata=DELETING, terminationGracePeriodSeconds=30)
    live = {"c": container(run())}
    assert plan(seen(leaving, containers=live), NOW).actions == (Stop("c", "c-0", 7),)
    dirty = {"c": container(ended(cleaned=False), uncleaned=("c-0",))}
    assert plan(seen(leaving, containers=dirty), NOW).actions == (Clean("c-0"),)
    over = {"c": container(ended())}
    assert plan(seen(leaving, containers=over), NOW).actions == (UnmountVolumes(),)
    bare = seen(leaving, containers=over, volumes="none")
    assert plan(bare, NOW).actions == (RemoveSandbox(),)
    nothing = seen(leaving, containers=over, volumes="none", sandbox=None)
    assert plan(nothing, NOW).actions == (Confirm(),)
    told = seen(leaving, containers=over, volumes="none", sandbox=None, confirmed=True)
    assert plan(told, NOW).actions == ()


def test_deletion_gives_up_a_start_and_waits_for_it() -> None:
    leaving = seen(pod(metadata=DELETING), busy=frozenset({"start"}))
    assert plan(leaving, NOW).actions == (AbortStart(),)


def test_sidecars_are_stopped_last_in_reverse() -> None:
    sidecars = [{"name": n, "restartPolicy": "Always"} for n in ("s", "t")]
    leaving = pod(metadata=DELETING, initContainers=sidecars)
    live = {n: container(run(n)) for n in ("s", "t", "c")}
    assert [a.name for a in plan(seen(leaving, containers=live), NOW).actions] == ["c"]  # type: ignore[union-attr]
    live["c"] = container(ended())
    assert [a.name for a in plan(seen(leaving, containers=live), NOW).actions] == ["t"]  # type: ignore[union-attr]


def test_a_pod_gone_from_the_api_is_stopped_fast_and_forgotten() -> None:
    live = {"c": container(run())}
    assert plan(seen(exists=False, containers=live), NOW).actions == (Stop("c", "c-0", 1),)
    nothing = seen(exists=False, volumes="none", sandbox=None)
    assert plan(nothing, NOW).actions == (Forget(),)


def test_a_failed_liveness_probe_stops_the_container() -> None:
    bad = container(run())
    failed = bad.__class__(runs=bad.runs, probed=Probed(started=True, failed="liveness"))
    found = plan(seen(containers={"c": failed}), NOW)
    assert found.actions == (Stop("c", "c-0", 30, "liveness"),)


def test_the_deadline_ends_the_pod() -> None:
    limited = pod(activeDeadlineSeconds=20)
    live = {"c": container(run())}
    early = plan(seen(limited, containers=live), NOW + 5)
    assert early.requeue_after_s == 15
    (judge,) = plan(seen(limited, containers=live), NOW + 20).actions
    assert isinstance(judge, Judge)
    judged = seen(limited, containers=live, verdict=judge.verdict)
    assert plan(judged, NOW + 21).actions == (Stop("c", "c-0", 30),)


def test_a_judged_pod_that_stays_is_not_confirmed() -> None:
    over = seen(verdict=Verdict("NodePorts", ""), volumes="none", sandbox=None)
    assert plan(over, NOW).actions == ()


def test_nothing_of_an_unsupported_pod_is_begun() -> None:
    assert plan(seen(unsupported="x", sandbox=None, volumes="none"), NOW).actions == ()


def test_old_runs_are_dropped() -> None:
    kept = container(ended(1), run(attempt=1), stale=("old",))
    assert plan(seen(containers={"c": kept}), NOW).actions == (Drop("old"),)


def test_back_off_doubles_to_five_minutes() -> None:
    assert [plans.backoff_s(n) for n in range(8)] == [0, 10, 20, 40, 80, 160, 300, 300]


def test_a_power_cut_is_no_crash_and_adds_no_pause() -> None:
    count = 0
    for _ in range(5):
        lost = ended(137, lost=True, backoff=count, finished_at=NOW + 60)
        assert plans.backoff_s(plans.next_backoff(seen(), lost)) == 0
        count = plans.next_backoff(seen(), lost) + 1
    crashing = ended(137, lost=True, backoff=4, finished_at=NOW + 60)
    assert plans.backoff_s(plans.next_backoff(seen(), crashing)) == 40
    at_once = ended(137, lost=True, backoff=2, finished_at=NOW + 0.1)
    assert plans.backoff_s(plans.next_backoff(seen(), at_once)) == 20


def test_stopping_the_cluster_again_and_again_adds_no_pause() -> None:
    count = 0
    for _ in range(5):
        stopped = ended(0, backoff=count, finished_at=NOW + 60, sandbox="old")
        assert plans.backoff_s(plans.next_backoff(seen(sandbox=NEW), stopped)) == 0
        count = plans.next_backoff(seen(sandbox=NEW), stopped) + 1
    crashing = ended(1, backoff=4, finished_at=NOW + 60, sandbox="old")
    assert plans.backoff_s(plans.next_backoff(seen(sandbox=NEW), crashing)) == 40
    alive = ended(1, backoff=2, finished_at=NOW + 60, sandbox=NEW.id)
    assert plans.backoff_s(plans.next_backoff(seen(sandbox=NEW), alive)) == 20


NEW = Sandbox("u1", "10.128.0.5", "new")


def test_in_a_new_sandbox_every_init_container_runs_again() -> None:
    both = pod(initContainers=[{"name": "i"}, {"name": "j"}])
    i, j, c = ended(name="i"), ended(name="j"), ended(137, lost=True)
    old = {"i": container(i), "j": container(j), "c": container(c)}
    assert plan(seen(both, containers=old), NOW + 9).actions == (Start("c", 1, 1),)
    assert plan(seen(both, sandbox=NEW, containers=old), NOW + 9).actions == (Start("i", 1, 0),)
    old["i"] = container(i, ended(name="i", attempt=1, sandbox="new"))
    assert plan(seen(both, sandbox=NEW, containers=old), NOW + 9).actions == (Start("j", 1, 0),)
    old["j"] = container(j, ended(name="j", attempt=1, sandbox="new"))
    assert plan(seen(both, sandbox=NEW, containers=old), NOW + 9).actions == (Start("c", 1, 1),)


def test_init_containers_of_a_pod_that_has_ended_do_not_run_again() -> None:
    once = pod(initContainers=[{"name": "i"}], restartPolicy="Never")
    old = {"i": container(ended(name="i")), "c": container(ended())}
    found = plan(seen(once, sandbox=NEW, containers=old), NOW + 9).actions
    assert found == (UnmountVolumes(),)
