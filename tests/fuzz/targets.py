"""All targets by name."""

from collections.abc import Mapping

from tests.fuzz import api, node, wire
from tests.fuzz.harness import Target

TARGETS: Mapping[str, tuple[Target, int]] = {
    "edge": (wire.edge_bytes, 360),
    "websocket": (wire.websocket_frames, 900),
    "spdy": (wire.spdy_sessions, 900),
    "kubelet": (node.kubelet, 900),
    "forwards": (node.forwards, 600),
    "json": (api.json_bodies, 180),
    "yaml": (api.yaml_bodies, 180),
    "protobuf": (api.protobuf_bodies, 240),
    "patches": (api.patches, 180),
    "queries": (api.queries, 900),
}
"""The target, and the rounds that a test plays."""
