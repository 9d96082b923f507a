"""OpenAI's Embeddings API over Titan's and Cohere's models, and those that vLLM serves.

https://platform.openai.com/docs/api-reference/embeddings/create
"""

import base64
import struct
from collections.abc import Callable
from typing import Annotated, Any, Literal

from msgspec import Meta

from gateway.api.body import Part, decode
from gateway.catalogue import Model
from gateway.errors import InvalidRequestError, ModelError, TimedOutError

# https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html
# vLLM has no limit of its own; a call of this size takes part of a second.
TEXTS_PER_CALL = {"titan": 1, "cohere": 96, "openai": 64}
# https://platform.openai.com/docs/api-reference/embeddings/create
MOST_INPUTS = 2048

Embed = Callable[[str, dict[str, Any]], tuple[dict[str, Any], int]]
"""Calls a model with a body; returns its answer and the input tokens that it counted."""


class EmbeddingsBody(Part):
    """An embeddings request. ``input_type`` is Cohere's, and an addition to OpenAI's API."""

    model: str
    input: (
        Annotated[str, Meta(min_length=1)]
        | Annotated[
            list[Annotated[str, Meta(min_length=1)]], Meta(min_length=1, max_length=MOST_INPUTS)
        ]
    )
    dimensions: Annotated[int, Meta(ge=1)] | None = None
    encoding_format: Literal["float", "base64"] = "float"
    input_type: (
        Literal["search_document", "search_query", "classification", "clustering"] | None
    ) = None
    user: str | None = None


def parse(body: bytes) -> EmbeddingsBody:
    """Read a request.

    Raises:
        InvalidRequestError: the body breaks the API's rules. Tokens instead of text are refused:
            their meaning depends on OpenAI's tokeniser.
    """
    return decode(body, EmbeddingsBody)


def texts_of(request: EmbeddingsBody) -> list[str]:
    """Return the texts to embed."""
    return [request.input] if isinstance(request.input, str) else request.input


class Embedder:
    """Gets the vectors of a request from one model."""

    def __init__(self, model: Model, request: EmbeddingsBody, embed: Embed) -> None:
        self._model = model
        self._request = request
        self._embed = embed
        self._check()

    def _check(self) -> None:
        dimensions = self._request.dimensions
        if dimensions is not None and dimensions not in self._model.dimensions:
            offered = ", ".join(map(str, sorted(self._model.dimensions))) or "one size only"
            message = f"This model does not offer {dimensions} dimensions. It offers {offered}."
            raise InvalidRequestError(message, param="dimensions")
        if self._request.input_type and self._model.embedding != "cohere":
            message = "This model does not distinguish kinds of input. Leave the field out."
            raise InvalidRequestError(message, param="input_type")

    def vectors(self, in_time: Callable[[], bool]) -> tuple[list[list[float]], int]:
        """Return a vector for each text, and the input tokens.

        Raises:
            TimedOutError: ``in_time`` turned false between two calls.
            ApiError: a call failed.
        """
        vectors: list[list[float]] = []
        tokens = 0
        texts = texts_of(self._request)
        size = TEXTS_PER_CALL[self._model.embedding]
        for start in range(0, len(texts), size):
            if not in_time():
                raise TimedOutError(
                    "There are more texts than can be embedded in time. Send fewer."
                )
            found, counted = self._call(texts[start : start + size])
            vectors.extend(found)
            tokens += counted
        return vectors, tokens

    def _call(self, texts: list[str]) -> tuple[list[list[float]], int]:
        if self._model.embedding == "titan":
            answer, counted = self._embed(self._model.model_id, self._titan(texts[0]))
            return [answer["embedding"]], answer.get("inputTextTokenCount", counted)
        if self._model.embedding == "openai":
            answer, counted = self._embed(self._model.model_id, self._openai(texts))
            return _in_order(answer, len(texts)), counted
        answer, counted = self._embed(self._model.model_id, self._cohere(texts))
        return answer["embeddings"]["float"], counted

    def _titan(self, text: str) -> dict[str, Any]:
        body: dict[str, Any] = {"inputText": text, **self._model.additional_fields}
        if self._request.dimensions:
            body["dimensions"] = self._request.dimensions
        return body

    def _openai(self, texts: list[str]) -> dict[str, Any]:
        body: dict[str, Any] = {
            **self._model.additional_fields,
            "model": self._model.model_id,
            "input": texts,
            "encoding_format": "float",
        }
        if self._request.dimensions:
            body["dimensions"] = self._request.dimensions
        return body

    def _cohere(self, texts: list[str]) -> dict[str, Any]:
        body: dict[str, Any] = {
            "texts": texts,
            "input_type": self._request.input_type or "search_document",
            "embedding_types": ["float"],
            # A text that is too long is an error, not a shorter text.
            "truncate": "NONE",
            **self._model.additional_fields,
        }
        if self._request.dimensions:
            body["output_dimension"] = self._request.dimensions
        return body


def _in_order(answer: dict[str, Any], expected: int) -> list[list[float]]:
    try:
        found = {entry["index"]: entry["embedding"] for entry in answer["data"]}
        return [found[index] for index in range(expected)]
    except (KeyError, TypeError):
        raise ModelError("The model server answered without a vector for each text.") from None


def body_of(request: EmbeddingsBody, vectors: list[list[float]], tokens: int) -> dict[str, Any]:
    """Return the answer in the request's encoding."""
    encode = _base64 if request.encoding_format == "base64" else _floats
    data = [
        {"object": "embedding", "index": index, "embedding": encode(vector)}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": request.model, "usage": usage}


def _base64(vector: list[float]) -> str:
    # Little-endian single precision, as OpenAI's clients decode it.
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _floats(vector: list[float]) -> list[float]:
    return vector
