"""vLLM's OpenAI server on loopback: its wire, its counters, and the faults that it may have.

The form of events and errors is that of vllm/entrypoints/openai (chat_completion/serving.py,
engine/serving.py, and the middleware that checks the key) in the version that the platform runs.
"""

import json
import select
import socket
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any, Self

from ops.fake_bedrock.script import LONGEST_WAIT_SECONDS, Script
from tests.loopback_server import LoopbackHandler, LoopbackServer

POLL_SECONDS = 0.01

Step = dict[str, Any]
"""``{"delta": {...}}``, ``{"finish": reason}``, ``{"usage": {...}}``, ``{"error": {...}}``,
``{"raw": bytes}``, ``{"wait": gate}``, ``{"cut": True}``, or ``{"done": True}``."""


@dataclass
class Answer:
    """A scripted answer: a status with a body, or the steps of a stream."""

    steps: list[Step] = field(default_factory=list)
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def text_steps(
    *parts: str, finish: str = "stop", prompt: int = 7, completion: int = 5, cached: int = 0
) -> list[Step]:
    usage = {
        "prompt_tokens": prompt,
        "total_tokens": prompt + completion,
        "completion_tokens": completion,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
    return [
        {"delta": {"role": "assistant", "content": ""}},
        *({"delta": {"content": part}} for part in parts),
        {"finish": finish},
        {"usage": usage},
        {"done": True},
    ]


def refusal(status: int, message: str, **headers: str) -> Answer:
    error = {"message": message, "type": "BadRequestError", "param": None, "code": status}
    return Answer(status=status, body=json.dumps({"error": error}).encode(), headers=headers)


class FakeVllm:
    """Serves the model ``name`` to those who show ``key``. Use as a context manager."""

    def __init__(self, name: str, key: str) -> None:
        self.name = name
        self.key = key
        self.calls: list[dict[str, Any]] = []
        self.peers: list[int] = []
        self.finished: Counter[str] = Counter()
        self.aborts = threading.Semaphore(0)
        self._script: Script[Answer] = Script()
        self._lock = threading.Lock()
        self._server = _Server(self)

    @property
    def base_url(self) -> str:
        return f"{self._server.url}/v1"

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._script.open_gates()
        self._server.__exit__(*error)

    def script(self, *answers: Answer) -> None:
        self._script.add(*answers)

    def reset(self) -> None:
        with self._lock:
            self._script.clear()
            self.calls.clear()
            self.peers.clear()
            self.finished.clear()
            self.aborts = threading.Semaphore(0)

    def gate(self, name: str) -> threading.Event:
        return self._script.gate(name)

    def next_answer(self, body: dict[str, Any], peer: int) -> Answer:
        with self._lock:
            self.calls.append(body)
            self.peers.append(peer)
            scripted = self._script.next()
        if scripted:
            return scripted
        if body.get("model") != self.name:
            return refusal(404, f"The model `{body.get('model')}` does not exist.")
        if "input" in body:
            return _vectors(body)
        return Answer(text_steps("Hel", "lo"))

    def metrics(self) -> str:
        """Return the counters that the platform's dashboards and scaling read."""
        lines = [
            f'vllm:request_success_total{{finished_reason="{reason}",model_name="{self.name}"}} {n}'
            for reason, n in sorted(self.finished.items())
        ]
        return "\n".join([*lines, f'vllm:num_requests_waiting{{model_name="{self.name}"}} 0', ""])


def _vectors(body: dict[str, Any]) -> Answer:
    texts = body["input"]
    data = [
        {"object": "embedding", "index": index, "embedding": [float(len(text)), 1.0]}
        for index, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    # The order says nothing; the index does.
    answer = {"object": "list", "data": data[::-1], "model": body["model"], "usage": usage}
    return Answer(body=json.dumps(answer).encode())


class _Server(LoopbackServer):
    def __init__(self, fake: FakeVllm) -> None:
        self.fake = fake
        super().__init__(_Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent: clients that go away are part of the tests."""


class _Handler(LoopbackHandler):
    server: _Server

    def answer(self) -> None:
        {"GET": self._counters, "POST": self._completion}[self.command]()

    def _counters(self) -> None:
        if self.path == "/metrics":
            self._whole(200, self.server.fake.metrics().encode(), {})
        else:
            self._whole(404, b'{"detail":"Not Found"}', {})

    def _completion(self) -> None:
        fake = self.server.fake
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers.get("Authorization") != f"Bearer {fake.key}":
            return self._whole(401, b'{"error":"Unauthorized"}', {})
        answer = fake.next_answer(body, self.client_address[1])
        if answer.steps:
            return self._stream(answer.steps)
        return self._whole(answer.status, answer.body, answer.headers)

    def _whole(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.send(status, body, {"Content-Type": "application/json", **named})

    def _stream(self, steps: list[Step]) -> None:
        pending = deque(steps)
        while pending and "early" in pending[0]:
            # Before the headers, as while a request waits for its turn.
            if not self._hold(pending.popleft()["early"]):
                return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for step in pending:
            if "wait" in step:
                if not self._hold(step["wait"]):
                    return
            elif "cut" in step:
                self.close_connection = True
                return
            else:
                self._chunk(self._frame(step))
        self.wfile.write(b"0\r\n\r\n")

    def _hold(self, gate: str) -> bool:
        """Wait for a gate as long as the client does; return whether it still does."""
        opened = self.server.fake.gate(gate)
        until = time.monotonic() + LONGEST_WAIT_SECONDS
        while not opened.wait(POLL_SECONDS) and time.monotonic() < until:
            readable, _, _ = select.select([self.connection], [], [], 0)
            if readable and not self.connection.recv(1, socket.MSG_PEEK):
                self.server.fake.finished["abort"] += 1
                self.server.fake.aborts.release()
                self.close_connection = True
                return False
        return True

    def _frame(self, step: Step) -> bytes:
        if "raw" in step:
            raw: bytes = step["raw"]
            return raw
        if "done" in step:
            return b"data: [DONE]\n\n"
        if "error" in step:
            return f"data: {json.dumps({'error': step['error']})}\n\n".encode()
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1}
        body: dict[str, Any] = {**head, "model": self.server.fake.name, "choices": []}
        if "usage" in step:
            body["usage"] = step["usage"]
        else:
            choice = {"index": 0, "delta": step.get("delta", {}), "logprobs": None}
            choice["finish_reason"] = step.get("finish")
            choice["stop_reason"] = step.get("stop_reason")
            body["choices"] = [choice]
        if step.get("finish"):
            self.server.fake.finished[step["finish"]] += 1
        return f"data: {json.dumps(body)}\n\n".encode()

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()
