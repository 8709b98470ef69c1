"""A crowd of idle peers in a process of its own: each asks once and then keeps its connection.

`python crowd.py PORT COUNT [CA]`; prints the number of answers, then holds on until its standard
input ends.
"""

import socket
import ssl
import sys

GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"


def main() -> None:
    port, count = int(sys.argv[1]), int(sys.argv[2])
    context = ssl.create_default_context(cafile=sys.argv[3]) if len(sys.argv) > 3 else None
    peers: list[socket.socket] = []
    for _ in range(count):
        peer = socket.create_connection(("127.0.0.1", port), timeout=30)
        if context is not None:
            peer = context.wrap_socket(peer, server_hostname="localhost")
        peer.sendall(GET)
        peers.append(peer)
    good = sum(peer.recv(4096).startswith(b"HTTP/1.1 200 ") for peer in peers)
    print(good, flush=True)
    sys.stdin.read()


main()
