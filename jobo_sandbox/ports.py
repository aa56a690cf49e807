"""Ports of servers that start again on the same port, or only after it was picked."""

import random
import socket
from contextlib import suppress
from typing import Final

HOST: Final = "127.0.0.1"


def free_port() -> int:
    """Return a port that is free, and that no outgoing connection can take meanwhile.

    Raises:
        RuntimeError: If no port is free.
    """
    # Outgoing connections have ports from 32,768 on.
    for port in random.sample(range(20_000, 30_000), k=100):
        with suppress(OSError), socket.create_server((HOST, port)):
            return port
    raise RuntimeError("no port is free")
