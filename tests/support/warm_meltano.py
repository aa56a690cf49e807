"""A command `meltano` whose process is forked from one with its modules loaded.

Loading them takes as long as what a short command does. What is forked is a process like any other;
the plugins that it starts are started cold.
"""

from __future__ import annotations

import atexit
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

_CLIENT = """#!{python} -SE
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({path!r})
    socket.send_fds(server, [b" "], [0, 1, 2])
    server.sendall(json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode())
    server.shutdown(socket.SHUT_WR)
    sys.exit(int(server.recv(9)))
"""
_SERVER = """
import json, os, select, signal, socket, sys, traceback
from meltano.cli import main

def serve(client):
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, streams, _, _ = socket.recv_fds(client, 1, 3)
    request = b"".join(iter(lambda: client.recv(65536), b""))
    pid = os.fork()
    if not pid:
        become(streams, *json.loads(request))
    client.sendall(b"%d" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

def become(streams, arguments, folder, environment):
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[:] = ["meltano", *arguments]
    code = 1
    try:
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who serve
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("ready", flush=True)
while sys.stdin not in select.select([sys.stdin, listener], [], [])[0]:
    client, _ = listener.accept()
    if not os.fork():
        serve(client)
        os._exit(0)
    client.close()
"""


@cache
def programs() -> Path:
    """Return a folder with the command, for PATH. One server is behind it while pytest runs."""
    folder = TemporaryDirectory(prefix="tap-jobo-")
    path = Path(folder.name, "socket")
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", _SERVER, str(path)]
    server = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
    assert server.stdout
    assert server.stdout.readline() == b"ready\n"

    def close() -> None:
        server.communicate()
        folder.cleanup()

    atexit.register(close)
    client = Path(folder.name, "meltano")
    client.write_text(_CLIENT.format(python=sys.executable, path=str(path)))
    client.chmod(0o755)
    return client.parent
