"""The HTTP side of the fake: rest-json operations and event streams on loopback."""

import hashlib
import json
import re
import sys
import threading
import time
from dataclasses import dataclass
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import unquote

from ops.fake_bedrock import control_plane, eventstream
from ops.fake_bedrock.control_plane import AccountSettings
from ops.fake_bedrock.reply import Reply, Step, default_reply, whole_answer
from ops.fake_bedrock.script import Script
from ops.fake_bedrock.validation import operation, problems

OPERATIONS = {
    "converse": "Converse",
    "converse-stream": "ConverseStream",
    "invoke": "InvokeModel",
}
GUARDRAIL_PATH = re.compile(
    r"/guardrail/(?P<guardrailIdentifier>[^/]+)/version/(?P<guardrailVersion>[^/]+)/apply"
)


@dataclass(frozen=True)
class RecordedCall:
    """One request as it arrived: operation, model and body, all as on the wire."""

    operation: str
    model_id: str
    params: dict[str, Any]


class FakeBedrock:
    """A Bedrock runtime on a free port of loopback, with the settings of its account beside it.

    Every request is checked against botocore's service model and the rules of conversations, and
    refused with ``ValidationException`` when it breaks one. Calls are answered by ``script`` in
    order, then by a small deterministic model. ``account`` is what the control plane reads and
    writes. Use as a context manager.
    """

    def __init__(self, port: int = 0) -> None:
        self.account = AccountSettings()
        self.calls: list[RecordedCall] = []
        self.disconnects = threading.Semaphore(0)
        self._script: Script[Reply] = Script()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", port), self)
        # Stopping waits for one poll; the default of half a second is felt where many are started.
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    @property
    def endpoint_url(self) -> str:
        """The address for a client's ``endpoint_url``."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._script.open_gates()
        self._server.shutdown()
        self._server.server_close()

    def serve_forever(self) -> None:
        """Serve in this thread until interrupted."""
        self._server.serve_forever()

    def script(self, *replies: Reply) -> None:
        """Add answers for the next calls."""
        self._script.add(*replies)

    def reset(self) -> None:
        """Forget scripts, gates and recorded calls; whoever waits at a gate goes on."""
        with self._lock:
            self._script.open_gates()
            self._script.clear()
            self.calls.clear()
            self.disconnects = threading.Semaphore(0)

    def gate(self, name: str) -> threading.Event:
        """Return the gate that a ``wait`` step of this name waits for."""
        return self._script.gate(name)

    def reached(self, name: str) -> threading.Event:
        """Return what is set as soon as a call waits at the gate of this name."""
        return self._script.reached(name)

    def wait_at(self, name: str) -> None:
        """Wait until the gate of this name is opened, or forgotten."""
        self._script.wait_at(name)

    def answer(self, call: RecordedCall, in_path: dict[str, str]) -> Reply:
        """Record the call and return its answer; ``in_path`` are parameters of its address."""
        params = {**in_path, **call.params}
        if call.operation == "InvokeModel":
            # The body is the payload itself, and not base64 within JSON.
            params["body"] = call.params["body"].encode()
        refused = problems(call.operation, params)
        with self._lock:
            self.calls.append(call)
            scripted = self._script.next()
        if refused:
            return Reply(error={"code": "ValidationException", "message": " ".join(refused)})
        if scripted:
            return scripted
        return default_reply(call.params) if call.operation.startswith("Converse") else Reply()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, address: tuple[str, int], fake: FakeBedrock) -> None:
        self.fake = fake
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Count connections that the client broke off; print any other error."""
        if isinstance(sys.exc_info()[1], ConnectionError):
            self.fake.disconnects.release()
        else:
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base's name)
        """Stay silent: the caller sees every answer."""

    def do_POST(self) -> None:
        """Answer an operation of the runtime, or take a script."""
        raw = self._body()
        if self.path == "/fake/script":
            self.server.fake.script(*(Reply(**item) for item in json.loads(raw)))
            return self._json(200, {"queued": True})
        guardrail = GUARDRAIL_PATH.fullmatch(self.path)
        if guardrail:
            return self._apply_guardrail(guardrail, json.loads(raw))
        _, _, model, action = self.path.split("/", 3)
        name = OPERATIONS.get(action)
        if name is None:
            return self._json(404, {"message": f"There is no operation at {self.path}."})
        params = self._params(name, raw)
        call = RecordedCall(name, unquote(model), params)
        return self._answer(call, self.server.fake.answer(call, {"modelId": call.model_id}))

    def do_GET(self) -> None:
        """Tell a setting, or the recorded calls to whoever drives the fake from elsewhere."""
        if ("GET", self.path) in control_plane.routes():
            return self._change_setting()
        calls = [vars(call) for call in self.server.fake.calls]
        return self._json(200, {"calls": calls})

    def do_PUT(self) -> None:
        """Change a setting of the account."""
        self._change_setting()

    def do_DELETE(self) -> None:
        """Change a setting of the account back."""
        self._change_setting()

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _change_setting(self) -> None:
        raw = self._body()
        name = control_plane.routes().get((self.command, self.path))
        if name is None:
            return self._json(404, {"message": f"There is no operation at {self.path}."})
        status, body, code = self.server.fake.account.answer(name, json.loads(raw or b"{}"))
        return self._json(status, body, {"x-amzn-ErrorType": code} if code else None)

    @staticmethod
    def _params(name: str, raw: bytes) -> dict[str, Any]:
        if name == "InvokeModel":
            return {"body": raw.decode()}
        params: dict[str, Any] = json.loads(raw or b"{}")
        return params

    def _answer(self, call: RecordedCall, reply: Reply) -> None:
        if reply.error:
            code = reply.error["code"]
            headers = {"x-amzn-ErrorType": code}
            return self._json(
                error_codes()[code], {"message": reply.error.get("message", "")}, headers
            )
        if call.operation == "ConverseStream":
            return self._stream(reply.steps)
        if call.operation == "Converse":
            for step in reply.steps:
                self._hold(step)
            return self._json(200, whole_answer(reply.steps))
        return self._invoke(json.loads(call.params["body"]), reply)

    def _apply_guardrail(self, path: re.Match[str], params: dict[str, Any]) -> None:
        """Answer as a guardrail that masks or blocks as the script says, and passes all else."""
        call = RecordedCall("ApplyGuardrail", unquote(path["guardrailIdentifier"]), params)
        reply = self.server.fake.answer(call, path.groupdict())
        if reply.error:
            return self._answer(call, reply)
        if reply.blocked:
            found = [{"type": "VIOLENCE", "confidence": "HIGH", "action": "BLOCKED"}]
            return self._json(
                200,
                {
                    "usage": {},
                    "action": "GUARDRAIL_INTERVENED",
                    "outputs": [{"text": reply.blocked}],
                    "assessments": [{"contentPolicy": {"filters": found}}],
                },
            )
        texts = [block["text"]["text"] for block in params["content"]]
        masked = texts
        for value, mask in reply.masks.items():
            masked = [text.replace(value, mask) for text in masked]
        intervened = masked != texts
        return self._json(
            200,
            {
                "usage": {},
                "action": "GUARDRAIL_INTERVENED" if intervened else "NONE",
                "outputs": [{"text": text} for text in masked] if intervened else [],
                "assessments": [],
            },
        )

    def _invoke(self, body: dict[str, Any], reply: Reply) -> None:
        """Answer as an embedding model, Titan's or Cohere's by the members of the request."""
        if "inputText" in body:
            vector = (reply.embedding or [_vector(body["inputText"], body.get("dimensions", 8))])[0]
            tokens = len(body["inputText"].split())
            return self._json(200, {"embedding": vector, "inputTextTokenCount": tokens})
        vectors = reply.embedding or [_vector(text, 8) for text in body["texts"]]
        tokens = sum(len(text.split()) for text in body["texts"])
        headers = {"X-Amzn-Bedrock-Input-Token-Count": str(tokens)}
        return self._json(200, {"embeddings": {"float": vectors}}, headers)

    def _json(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        payload = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(payload)
        self.wfile.flush()

    def _stream(self, steps: list[Step]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.amazon.eventstream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for step in steps:
            if "cut" in step:
                self.close_connection = True
                return
            frame = self._frame(step)
            if frame:
                self._chunk(frame)
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def _frame(self, step: Step) -> bytes:
        if self._hold(step):
            return b""
        if "corrupt" in step:
            return eventstream.event("contentBlockStop", {"contentBlockIndex": 0})[:-1] + b"\x00"
        if "fault" in step:
            return eventstream.exception(*next(iter(step["fault"].items())))
        return eventstream.event(*next(iter(step.items())))

    def _hold(self, step: Step) -> bool:
        """Wait when the step says so, and return whether it did."""
        if "pause" in step:
            time.sleep(step["pause"])
        elif "wait" in step:
            self.server.fake.wait_at(step["wait"])
        else:
            return False
        return True

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()


def _vector(text: str, dimensions: int) -> list[float]:
    """Return a vector that depends on the text and on nothing else."""
    digest = hashlib.sha256(text.encode()).digest()
    return [digest[index % len(digest)] / 255 for index in range(dimensions)]


@cache
def error_codes() -> dict[str, int]:
    """Return the HTTP status of every error that botocore knows for ``ConverseStream``."""
    shapes = operation("ConverseStream").error_shapes
    return {shape.name: shape.metadata["error"]["httpStatusCode"] for shape in shapes}
