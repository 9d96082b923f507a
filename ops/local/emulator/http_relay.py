"""A request handed on to a server on loopback, whose answer goes back as it is produced."""

from typing import Any

from ministack.services import alb

Answer = tuple[int, dict[str, Any], Any]
"""Status, headers, and bytes or a stream, as ministack's handlers answer."""

# https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1: they hold for one connection only.
_CONNECTION_HEADERS = ("connection", "keep-alive", "transfer-encoding")


async def relay(
    port: int, method: str, target: str, headers: dict[str, Any], body: bytes
) -> Answer:
    """Send a request to a port and return its answer, unread.

    ministack's load balancer does the same for its targets, and ends the request when the client
    leaves.
    """
    status, answered, stream = await alb._proxy_http_target(
        {"Id": "127.0.0.1", "Port": port}, {}, method, target, headers, body, {}
    )
    kept = {key: value for key, value in answered.items() if key not in _CONNECTION_HEADERS}
    return status, kept, stream
