"""`python -m jobo_sandbox [options] COMMAND ...`: run a command against the sandbox."""

import signal
import sys
from types import FrameType
from typing import NoReturn

from jobo_sandbox.command import BY_SIGNAL, environment, run
from jobo_sandbox.folder import Folder, InUseError
from jobo_sandbox.options import Options, read_options
from jobo_sandbox.postgres import running_postgres, stop_postgres
from jobo_sandbox.report import report
from jobo_sandbox.serving import serve
from jobo_sandbox.session import RefusalError, opened, world_of
from jobo_sandbox.warehouse import Warehouse


def main(arguments: list[str]) -> int:
    """Do what the command line asks for.

    Returns:
        The exit code: that of the command, or 1 if it could not be run.
    """
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
    except (InUseError, RefusalError, RuntimeError) as error:
        sys.stderr.write(f"jobo_sandbox: {error}\n")
        return 1
    except KeyboardInterrupt as interrupt:
        return BY_SIGNAL + (interrupt.args[0] if interrupt.args else signal.SIGINT)


def _serve(folder: Folder, options: Options) -> int:
    state = world_of(folder.load(), options)
    with opened(folder, state, options) as sandbox:
        try:
            serve(folder, sandbox)
        except KeyboardInterrupt:
            sys.stderr.write(report(sandbox, None))
    return 0


def _wrap(folder: Folder, options: Options) -> int:
    state = world_of(folder.load(), options)
    with opened(folder, state, options) as sandbox:
        settings = environment(folder, sandbox.url, sandbox.api_key)
        if options.postgres:
            with running_postgres(folder.postgres, state.postgres_port) as port:
                state.postgres_port = port
                url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
                warehouse = Warehouse(url)
                # The loader's own driver, by SQLAlchemy's name for it.
                loaders = url.replace("postgresql:", "postgresql+psycopg:")
                settings["TARGET_POSTGRES_SQLALCHEMY_URL"] = loaders
                code = run(options.command, settings)
                arrivals = warehouse.arrivals()
        else:
            code, arrivals = run(options.command, settings), None
    sys.stderr.write(report(sandbox, arrivals))
    return code


def _interrupt(number: int, _: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt(number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
