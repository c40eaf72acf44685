"""Run an application on a socket until somebody asks to stop."""

import errno
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from diptych.core.errors import ConfigError
from diptych.core.extras import require
from diptych.serving.messages import Receive, Scope, Send

BACKLOG = 1024
GRACE_S = 10
REASONS = {
    errno.EADDRINUSE: ("is taken", "stop the other server, or choose another --port"),
    errno.EACCES: ("is not allowed", "choose a --port above 1023"),
    errno.EADDRNOTAVAIL: ("is not an address of this machine", "choose another --host"),
}

Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def reserve(host: str, port: int) -> socket.socket:
    """Take an address, so that it is known to be free before models are loaded.

    Args:
        host: A name or an address of this machine.
        port: The port; 0 for any free one.

    Returns:
        The socket; clients are refused until :func:`run`.

    Raises:
        ConfigError: If the address is unknown, taken, or not allowed.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"the host {host!r} is unknown", "try 127.0.0.1") from error
    opened = socket.socket(family, kind, protocol)
    try:
        # On Windows REUSEADDR lets two servers have one address.
        exclusive = getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR)
        opened.setsockopt(socket.SOL_SOCKET, exclusive, 1)
        opened.bind(address)
    except OSError as error:
        opened.close()
        raise ConfigError(*_unusable(f"{host} port {port}", error)) from error
    return opened


def url(opened: socket.socket) -> str:
    """Write where a socket listens.

    Args:
        opened: A socket with an address.

    Returns:
        Such as ``http://127.0.0.1:8000``.
    """
    host, port = opened.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(application: Application, opened: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM; requests that have begun are answered first.

    Args:
        application: An ASGI application.
        opened: A socket from :func:`reserve`; it is closed at the end.
        ready: Called when requests are answered and a signal stops the server properly.

    Raises:
        ConfigError: If another server took the address meanwhile.
    """
    uvicorn = require("uvicorn", "serve")
    require("httptools", "serve")
    connection = require("diptych.serving.connection", "serve")
    config = uvicorn.Config(
        _with_lifespan(application, ready),
        http=connection.BoundedConnection,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=round(connection.HEAD_TIMEOUT_S),
        timeout_graceful_shutdown=GRACE_S,
    )
    server = uvicorn.Server(config)
    try:
        opened.listen(BACKLOG)
    except OSError as error:
        raise ConfigError(*_unusable(url(opened), error)) from error
    with _stopped_by_signals(server.handle_exit):
        server.run(sockets=[opened])


def _unusable(address: str, error: OSError) -> tuple[str, str]:
    reason, hint = REASONS.get(error.errno or 0, (f"cannot be used: {error.strerror}", ""))
    return f"{address} {reason}", hint


def _with_lifespan(application: Application, ready: Callable[[], None]) -> Application:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await application(scope, receive, send)
            return
        await receive()
        ready()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    return answer


@contextmanager
def _stopped_by_signals(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Catch the signals from before uvicorn does until after: it raises them again at its end."""
    signals = (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.signal(number, handler) for number in signals}
    try:
        yield
    finally:
        for number, handled in previous.items():
            signal.signal(number, handled)
