"""Images and documents in requests: data URLs only, no address is ever fetched."""

import base64
import binascii
import re
from collections.abc import Mapping

from gateway.conversation import Block
from gateway.errors import InvalidRequestError

DATA_URL = re.compile(
    r"data:(?P<type>[\w.+-]+/[\w.+-]+)(?:;[\w.+-]+=[^;,]*)*;base64,(?P<data>.*)", re.S
)
# The formats are those of Converse's ImageBlock and DocumentBlock.
# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_DocumentBlock.html
IMAGE_FORMATS = {
    "image/gif": "gif",
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/png": "png",
    "image/webp": "webp",
}
DOCUMENT_FORMATS = {
    "application/msword": "doc",
    "application/pdf": "pdf",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "text/csv": "csv",
    "text/html": "html",
    "text/markdown": "md",
    "text/plain": "txt",
}
LONGEST_NAME = 200


def image_of_url(url: str, param: str) -> Block:
    """Return the image of a data URL.

    Raises:
        InvalidRequestError: it is another kind of URL, another format, or not base64.
    """
    media_type, data = _split(url, param)
    return image(media_type, data, param)


def document_of_url(url: str, name: str, param: str) -> Block:
    """Return the document of a data URL; ``name`` is what the model may call it."""
    media_type, data = _split(url, param)
    return document(media_type, data, name, param)


def image(media_type: str, data: str, param: str) -> Block:
    """Return the image of a media type and base64 text."""
    form = _format(media_type, IMAGE_FORMATS, "image", param)
    return {"image": {"format": form, "source": {"bytes": _decode(data, param)}}}


def document(media_type: str, data: str, name: str, param: str) -> Block:
    """Return the document of a media type and base64 text."""
    form = _format(media_type, DOCUMENT_FORMATS, "document", param)
    source = {"bytes": _decode(data, param)}
    return {"document": {"format": form, "name": document_name(name), "source": source}}


def document_name(name: str) -> str:
    """Return the name with only the characters that Converse allows in it."""
    allowed = re.sub(r"[^A-Za-z0-9\-()\[\]]+", " ", name.rsplit(".", 1)[0]).strip()
    return allowed[:LONGEST_NAME] or "document"


def _split(url: str, param: str) -> tuple[str, str]:
    match = DATA_URL.fullmatch(url)
    if not match:
        message = (
            "Only base64 data URLs are taken, such as data:image/png;base64,...: the gateway never "
            "fetches an address. Send the content itself."
        )
        raise InvalidRequestError(message, param=param)
    return match["type"].lower(), match["data"]


def _format(media_type: str, formats: Mapping[str, str], kind: str, param: str) -> str:
    if media_type not in formats:
        message = f"{media_type} is not an {kind} format that models take. Use one of: "
        raise InvalidRequestError(message + ", ".join(sorted(formats)) + ".", param=param)
    return formats[media_type]


def _decode(data: str, param: str) -> bytes:
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        content = b""
    if not content:
        message = "The data is empty or not valid base64. Encode the file's bytes in base64."
        raise InvalidRequestError(message, param=param)
    return content
