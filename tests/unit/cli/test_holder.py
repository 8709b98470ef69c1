"""Who has a port."""

import os
import socket

from petset.cli import holder


def test_listener_is_found_by_its_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert f"pid {os.getpid()}" in holder.name(port)
        assert f"pid {os.getpid()}, has it" in holder.taken("127.0.0.1", port, "in use")


def test_a_free_port_has_no_holder() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # not listening, and nobody else can
        port = bound.getsockname()[1]
        assert holder.name(port) == ""
        words = holder.taken("127.0.0.1", port, "Permission denied")
    assert words == f"port {port} on 127.0.0.1 cannot be had: Permission denied"
