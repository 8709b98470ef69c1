import pytest
import yaml

from petset.cli import kubeconfig, paths, pki, state
from petset.cli.failure import Failure


@pytest.fixture
def cluster(tmp_path, monkeypatch) -> tuple[paths.Paths, state.Cluster]:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "user"))
    where = paths.Paths(tmp_path / "state", tmp_path / "run")
    pki.ensure_cluster(where.pki, names=["localhost"], addresses=["127.0.0.1"])
    return where, state.Cluster("other", 0, 7000)


def test_context_is_merged_beside_what_was_there(cluster, tmp_path) -> None:  # type: ignore[no-untyped-def]
    mine = {"apiVersion": "v1", "kind": "Config", "current-context": "mine"}
    mine["contexts"] = [{"name": "mine", "context": {"cluster": "c", "user": "u"}}]  # type: ignore[assignment]
    (tmp_path / "user").write_text(yaml.safe_dump(mine))
    kubeconfig.write(cluster[0], cluster[1], None)
    merged = yaml.safe_load((tmp_path / "user").read_text())
    assert [c["name"] for c in merged["contexts"]] == ["mine", "petset-other"]
    assert merged["current-context"] == "petset-other"
    assert merged["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:7000"
    kubeconfig.remove("other")
    assert yaml.safe_load((tmp_path / "user").read_text())["contexts"] == mine["contexts"]


def test_own_file_leaves_the_users_file_alone(cluster, tmp_path) -> None:  # type: ignore[no-untyped-def]
    kubeconfig.write(cluster[0], cluster[1], tmp_path / "given")
    assert not (tmp_path / "user").exists()
    assert (tmp_path / "given").stat().st_mode & 0o777 == 0o600


def test_unreadable_user_file_is_refused_and_kept(cluster, tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "user").write_text("a: [")
    with pytest.raises(Failure, match="no readable kubeconfig"):
        kubeconfig.write(cluster[0], cluster[1], None)
    assert (tmp_path / "user").read_text() == "a: ["


def test_default_cluster_has_the_short_context_name() -> None:
    assert kubeconfig.context_name("default") == "petset"
    assert kubeconfig.context_name("a") == "petset-a"
