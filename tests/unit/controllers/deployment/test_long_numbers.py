"""Numbers in texts may be of any length."""

from petset.controllers.deployment import annotations
from petset.controllers.deployment.spec import read

ZEROS = "0" * 5000


def test_shares_and_revisions_are_read_whatever_their_length() -> None:
    rolling = {"maxSurge": f"{ZEROS}50%", "maxUnavailable": "0%"}
    spec = {"replicas": 4, "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling}}
    assert read({"metadata": {"name": "d"}, "spec": spec}).max_surge == 2
    assert annotations.number({"a": f"{ZEROS}7"}, "a") == 7
    assert annotations.number({"a": "\u0663"}, "a") is None
