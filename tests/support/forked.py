"""Commands whose processes are forked from one with their modules loaded, in any environment.

Loading them takes as long as what a short command does. What is forked is a process like any other;
what it starts is started cold.
"""

import atexit
import subprocess
import sys
from collections.abc import Sequence
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
def prepare(arguments): pass
{load}
def enter(arguments, folder, environment):
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    return arguments

def serve(client, streams, request):
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if not pid:
        become(streams, request)
    client.sendall(b"%d" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

def become(streams, request):
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    code = 1
    try:
        main(enter(*request))
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # the interpreter's own end takes half a second

signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who serve
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("ready", flush=True)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
while sys.stdin not in select.select([sys.stdin, listener], [], [])[0]:
    client, _ = listener.accept()
    _, streams, _, _ = socket.recv_fds(client, 1, 3)
    request = json.loads(b"".join(iter(lambda: client.recv(65536), b"")))
    prepare(enter(*request))
    if not os.fork():
        serve(client, streams, request)
        os._exit(0)
    for each in streams:
        os.close(each)
    client.close()
"""


def forked(name: str, load: str, python: Sequence[str] = (sys.executable,)) -> Path:
    """Return a program of a name. One server is behind it while pytest runs.

    Args:
        name: The program's.
        load: Loads the modules, and defines `main`, which gets the arguments. It may also define
            `prepare`, which the server calls before it forks.
        python: The command of the environment's interpreter.
    """
    folder = TemporaryDirectory(prefix="tap-jobo-")
    path = Path(folder.name, "socket")
    pipe = subprocess.PIPE
    command = [*python, "-c", _SERVER.replace("{load}", load), str(path)]
    server = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
    assert server.stdout
    assert server.stdout.readline() == b"ready\n"

    def close() -> None:
        server.communicate()
        folder.cleanup()

    atexit.register(close)
    client = Path(folder.name, name)
    client.write_text(_CLIENT.format(python=sys.executable, path=str(path)))
    client.chmod(0o755)
    return client
