"""`python -m jobo_sandbox [options] COMMAND ...`: run a command against the mock API server."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from threading import Event
from types import FrameType
from typing import NoReturn

from jobo_sandbox.bucket import running_bucket
from jobo_sandbox.child import BY_SIGNAL, database_settings, environment, run
from jobo_sandbox.folder import Folder, RefusedError, Saved
from jobo_sandbox.limits import FEED_LIMITS, PROFILE_LIMITS
from jobo_sandbox.options import Options, read_options
from jobo_sandbox.ports import free_port
from jobo_sandbox.postgres import running_postgres, stop_postgres
from jobo_sandbox.server import Sandbox
from jobo_sandbox.summary import outcome, summary
from jobo_sandbox.warehouse import Warehouse

_GUIDE = """\
The Jobo sandbox is listening on {url}. Press Ctrl-C to stop it. Its API key is
  {key}

To use it from another shell:
{exports}

To fetch a page of two rows:
  curl -s {url}/api/career-sites/feed -H 'X-Api-Key: {key}' \\
    -H 'Content-Type: application/json' -d '{{"batch_size": 2}}'
"""
_IN_A_CONTAINER = """
The bucket is empty, and is lost when the sandbox stops. To run a container with the same variables:
  docker run --rm --network host --env-file {file} IMAGE run tap-jobo target-postgres
"""


def main(arguments: list[str]) -> int:
    """Run the sandbox.

    Returns:
        The exit code: the command's, or 1 if it could not be run.
    """
    if arguments[:1] == ["contract"]:
        from jobo_sandbox.contract import command  # noqa: PLC0415 - loads the tap

        return command.main(arguments[1:])
    options = read_options(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    folder = Folder.here()
    try:
        with folder.locked():
            if options.reset:
                stop_postgres(folder.postgres)
                folder.reset()
            if options.serve:
                return _serve(folder, options)
            return _wrap(folder, options) if options.command else 0
    except (RefusedError, RuntimeError) as error:
        sys.stderr.write(f"jobo_sandbox: {error}\n")
        return 1
    except KeyboardInterrupt as interrupt:
        return BY_SIGNAL + (interrupt.args[0] if interrupt.args else signal.SIGINT)


def _serve(folder: Folder, options: Options) -> int:
    with _opened(folder, _saved(folder, options), options) as sandbox:
        settings = environment(folder.path, sandbox.url, sandbox.api_key)
        for name in ("MELTANO_ENVIRONMENT", "MELTANO_DATABASE_URI", "TAP_JOBO_ARCHIVE_DIR"):
            del settings[name]  # of this project; the shell may be in another one
        with (
            running_postgres(folder.postgres) if options.postgres else nullcontext() as port,
            running_bucket() if options.bucket else nullcontext() as bucket,
        ):
            settings |= (database_settings(port) if port else {}) | (bucket or {})
            exports = "\n".join(f"  export {name}='{value}'" for name, value in settings.items())
            guide = _GUIDE.format(url=sandbox.url, key=sandbox.api_key, exports=exports)
            if bucket:
                lines = "\n".join(f"{name}={value}" for name, value in settings.items())
                folder.container.write_text(f"{lines}\n", "utf-8")
                guide += _IN_A_CONTAINER.format(file=folder.container)
            print(guide, flush=True)  # noqa: T201 - what it is for
            try:
                Event().wait()
            except KeyboardInterrupt:
                sys.stderr.write(summary(sandbox))
    return 0


def _wrap(folder: Folder, options: Options) -> int:
    saved = _saved(folder, options)
    with _opened(folder, saved, options) as sandbox:
        settings = environment(folder.path, sandbox.url, sandbox.api_key)
        if options.postgres:
            with running_postgres(folder.postgres) as port:
                warehouse = Warehouse(f"postgresql://postgres@127.0.0.1:{port}/postgres")
                settings |= database_settings(port)
                code = run(options.command, settings)
                tables = warehouse.tables()
        else:
            code = run(options.command, settings)
            tables = None
    sys.stderr.write(summary(sandbox, outcome(options.command, code), tables))
    return code


@contextmanager
def _opened(folder: Folder, saved: Saved, options: Options) -> Iterator[Sandbox]:
    """Run the server within a `with` block, and save what the next run needs.

    Raises:
        RefusedError: If the port is taken.
    """
    sandbox = _make_sandbox(saved, options)
    try:
        sandbox.__enter__()
    except OSError as error:
        port = sandbox.port
        raise RefusedError(f"Port {port} is in use. Use --reset to take another one.") from error
    try:
        saved.api_port = sandbox.port
        folder.save(saved)  # now too: the cursors of a run that is killed stay valid
        yield sandbox
    finally:
        sandbox.close()
        saved.balance = sandbox.balance
        folder.save(saved)


def _saved(folder: Folder, options: Options) -> Saved:
    """Return what the last run saved, or defaults with the options applied.

    Raises:
        RefusedError: If the options ask for another world than the saved one.
    """
    size = options.size or Saved.size
    saved = folder.load() or Saved(size=size)
    if options.size and saved.size != size:
        raise RefusedError(
            f"This folder has a world of size {saved.size}. Use --reset to start over with another "
            "one."
        )
    return saved


def _make_sandbox(saved: Saved, options: Options) -> Sandbox:
    sandbox = Sandbox(
        size=saved.size,
        jobs=saved.jobs,
        seed=saved.seed,
        life=True,
        created_at=datetime.fromisoformat(saved.created_at),
        secret=bytes.fromhex(saved.secret),
        balance=saved.balance,
        port=saved.api_port or free_port(),
    )
    if options.rate_limits:
        sandbox.rate_limits, sandbox.profile_rate_limits = FEED_LIMITS, PROFILE_LIMITS
    return sandbox


def _interrupt(number: int, _: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt(number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
