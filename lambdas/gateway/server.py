"""The HTTP server around the application: ``python -m gateway.server``.

The same process serves in Lambda behind the Lambda Web Adapter, in a container, and on a laptop.
"""

import logging
import os
import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING, cast

from waitress.channel import HTTPChannel
from waitress.server import MultiSocketServer, create_server
from waitress.task import ErrorTask

from gateway.api.body import encode
from gateway.errors import of_status
from gateway.runtime import create_application
from gateway.settings import Settings, SettingsError

if TYPE_CHECKING:
    import socket

    from _typeshed.wsgi import WSGIApplication
    from waitress.parser import HTTPRequestParser
    from waitress.server import BaseWSGIServer
    from waitress.utilities import Error

# Seconds; longer than a load balancer in front keeps an idle connection (900 in GatewayService).
# Were the server the first to close one, the next request on it would be answered 502.
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html
IDLE_CONNECTION = 960

# Beyond what the application itself refuses with a sentence, before it is read to its end.
HARD_LIMIT_FACTOR = 4


class JsonErrorTask(ErrorTask):
    """Answers what never reaches the application, such as broken HTTP, as an error of the API."""

    def execute(self) -> None:
        """Write the answer and close the connection."""
        request = cast("HTTPRequestParser", self.request)
        # An error task is made for nothing but a request with an error.
        problem = cast("Error", request.error)
        error = of_status(problem.code, f"{problem.reason}: {problem.body}")
        body = encode(error.openai_body())
        self.status = f"{problem.code} {problem.reason}"
        self.response_headers = [("Content-Type", "application/json")]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class JsonErrorChannel(HTTPChannel):
    """A connection whose errors are JSON."""

    error_task_class = JsonErrorTask


def create(application: "WSGIApplication", settings: Settings) -> "BaseWSGIServer":
    """Return a server that is bound and not yet serving.

    ``settings.threads`` requests are answered at once; each has a thread, so that none waits for
    another. Further ones wait their turn.
    """
    server = create_server(
        application,
        host=settings.host,
        port=settings.port,
        threads=settings.threads,
        ident=None,
        # A connection may be open between requests; it holds no thread then.
        connection_limit=max(100, 2 * settings.threads),
        channel_timeout=IDLE_CONNECTION,
        max_request_body_size=HARD_LIMIT_FACTOR * settings.largest_body,
        asyncore_use_poll=True,
        # Reading ahead is how a closed connection is noticed while its answer is made.
        channel_request_lookahead=1,
    )
    if isinstance(server, MultiSocketServer):
        message = f"GATEWAY_HOST is {settings.host!r}, which is several addresses. Name one."
        raise SettingsError(message)
    server.channel_class = JsonErrorChannel
    return server


def port_of(server: "BaseWSGIServer") -> int:
    """Return the port that a server is bound to, which the kernel chose when it was set to 0."""
    bound = cast("socket.socket", server.socket)
    port: int = bound.getsockname()[1]
    return port


def main() -> int:
    """Serve until told to stop; return the process's exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        settings = Settings.read(os.environ)
        server = create(create_application(settings), settings)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    signal.signal(signal.SIGTERM, _stop)
    sys.stderr.write(f"The gateway serves on http://{settings.host}:{port_of(server)}\n")
    server.run()
    return 0


def _stop(_number: int, _frame: FrameType | None) -> None:
    # Waitress ends its loop, and then its threads, on SystemExit.
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main())
