"""Encoding of ``application/vnd.amazon.eventstream`` messages.

Botocore only decodes this format. A message is: total length, header length, CRC-32 of those two,
headers, payload, CRC-32 of everything before.
https://smithy.io/2.0/aws/amazon-eventstream.html
"""

import json
import struct
from binascii import crc32
from typing import Any

STRING_HEADER = 7
PRELUDE_AND_CHECKSUMS = 16


def _header(name: str, value: str) -> bytes:
    key, text = name.encode(), value.encode()
    return struct.pack(f">B{len(key)}sBH", len(key), key, STRING_HEADER, len(text)) + text


def encode(headers: dict[str, str], payload: bytes) -> bytes:
    """Return one message with both checksums."""
    block = b"".join(_header(name, value) for name, value in headers.items())
    prelude = struct.pack(">II", PRELUDE_AND_CHECKSUMS + len(block) + len(payload), len(block))
    message = prelude + struct.pack(">I", crc32(prelude)) + block + payload
    return message + struct.pack(">I", crc32(message))


def event(name: str, payload: dict[str, Any]) -> bytes:
    """Return the message of a normal event, such as ``contentBlockDelta``."""
    return _message("event", name, payload)


def exception(name: str, message: str) -> bytes:
    """Return the message of a modelled fault in mid-stream, such as ``throttlingException``."""
    return _message("exception", name, {"message": message})


def _message(kind: str, name: str, payload: dict[str, Any]) -> bytes:
    headers = {
        f":{kind}-type": name,
        ":content-type": "application/json",
        ":message-type": kind,
    }
    return encode(headers, json.dumps(payload).encode())
