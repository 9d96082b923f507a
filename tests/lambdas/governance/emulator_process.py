"""AWS services on loopback in a process of its own, run as a script: moto behind real HTTP.

moto's transactions take no lock: they copy whole tables and put the copy back when a condition
fails, which loses what other threads wrote meanwhile. This server therefore answers one request
at a time, which gives every request the isolation that DynamoDB promises for it; requests of
different processes still interleave in any order.

Two paths of its own serve the proofs: ``/__peaks`` returns the largest value that any attribute
of any counter has ever had after any request, and ``POST /__faults`` sets answers that the next
transactions get instead of being carried out.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, cast

from moto.backends import get_backend
from moto.dynamodb.models.dynamo_type import Item
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

ACCOUNT = "123456789012"
"""Where moto keeps what is made with credentials that it does not know."""


class Observer:
    """Answers its own two paths and looks at every counter after every other request."""

    def __init__(self, region: str) -> None:
        self._region = region
        self._inner = DomainDispatcherApplication(create_backend_app)
        self._peaks: dict[str, dict[str, int]] = defaultdict(dict)
        self._faults: list[dict[str, Any]] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/__peaks":
            return self._json(start_response, "200 OK", self._peaks)
        if environ["PATH_INFO"] == "/__faults":
            self._faults = json.loads(self._body(environ))
            return self._json(start_response, "200 OK", {})
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        if self._faults and target.endswith("TransactWriteItems"):
            # A body left unread would reset the connection under the answer.
            self._body(environ)
            return self._json(start_response, "400 Bad Request", self._faults.pop(0))
        answer = list(self._inner(environ, start_response))
        self._look()
        return answer

    def _look(self) -> None:
        tables = get_backend("dynamodb")[ACCOUNT][self._region].tables
        for table in tables.values():
            for item_id, item in table.items.items():
                if item_id.value.startswith(("KEY#", "TEAM#")):
                    attributes = cast("Item", item).to_json()["Attributes"]
                    self._note(f"{table.name}/{item_id.value}", attributes)

    def _note(self, name: str, attributes: dict[str, dict[str, str]]) -> None:
        peaks = self._peaks[name]
        for attribute, value in attributes.items():
            if "N" in value:
                peaks[attribute] = max(peaks.get(attribute, 0), int(value["N"]))

    @staticmethod
    def _body(environ: dict[str, Any]) -> bytes:
        body: bytes = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        return body

    @staticmethod
    def _json(start_response: Any, status: str, body: object) -> Iterable[bytes]:
        start_response(status, [("Content-Type", "application/x-amz-json-1.0")])
        return [json.dumps(body).encode()]


class QuietHandler(WSGIRequestHandler):
    """Writes no access log."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Write nothing."""


if __name__ == "__main__":
    server = make_server(
        "127.0.0.1", 0, Observer(sys.argv[1]), threaded=False, request_handler=QuietHandler
    )
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    server.serve_forever()
