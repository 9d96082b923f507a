"""The chat completion request that a conversation becomes for a model that vLLM serves.

A model that lacks what the conversation needs is an error that names the field; nothing is left
out but marks of cached prefixes (vLLM finds them by itself) and metadata (it has no place for it).
https://docs.vllm.ai/en/stable/serving/openai_compatible_server/
"""

import base64
import json
from collections.abc import Iterator
from typing import Any

from gateway.catalogue import Model
from gateway.conversation import Block, Conversation, Tool
from gateway.errors import InvalidRequestError
from gateway.model_limits import ModelLimits

# A tool's result has no place for it in this API, and the model must know.
FAILED_CALL = "The call failed: "
SCHEMA_NAME = "answer"

Message = dict[str, Any]


class ChatCompletionRequest:
    """Writes the body of one call."""

    def __init__(self, conversation: Conversation, model: Model) -> None:
        self._conversation = conversation
        self._model = model
        self._limits = ModelLimits(conversation, model)

    def body(self) -> dict[str, Any]:
        """Return the call's body. It always asks for a stream.

        A stream can be given up at any moment, and vLLM stops generating; a whole answer is put
        together from it.

        Raises:
            InvalidRequestError: the model cannot do what a field asks for.
        """
        self._limits.check_content()
        self._limits.check_opening()
        self._limits.service_tier()
        if self._conversation.thinking is not None:
            self._limits.require("thinking", "thinking")
        return {
            **self._model.additional_fields,
            "model": self._model.model_id,
            "messages": [*self._system(), *self._messages()],
            "max_tokens": self._limits.max_tokens(),
            "stream": True,
            "stream_options": {"include_usage": True},
            **self._sampling(),
            **self._tools(),
            **self._answer_format(),
            **self._effort(),
        }

    def _sampling(self) -> dict[str, Any]:
        conversation = self._conversation
        fields: dict[str, Any] = {}
        if conversation.temperature is not None:
            self._limits.require("temperature", "temperature")
            fields["temperature"] = conversation.temperature
        if conversation.top_p is not None:
            self._limits.require("top_p", "top_p")
            fields["top_p"] = conversation.top_p
        if conversation.top_k is not None:
            self._limits.require("top_k", "top_k")
            fields["top_k"] = conversation.top_k
        if conversation.stop:
            self._limits.require("stop", "stop")
            fields["stop"] = list(conversation.stop)
        return fields

    def _system(self) -> list[Message]:
        texts = [block["text"] for block in self._conversation.system if "text" in block]
        return [{"role": "system", "content": "\n\n".join(texts)}] if texts else []

    def _messages(self) -> Iterator[Message]:
        for message in self._conversation.messages:
            if message["role"] == "assistant":
                yield self._assistant(message["content"])
            else:
                yield from self._user(message["content"])

    def _assistant(self, blocks: list[Block]) -> Message:
        texts = [block["text"] for block in blocks if "text" in block]
        calls = [_call(block["toolUse"]) for block in blocks if "toolUse" in block]
        thoughts = [self._thought(block) for block in blocks if "reasoningContent" in block]
        message: Message = {"role": "assistant", "content": "".join(texts) or None}
        if calls:
            message["tool_calls"] = calls
        if thoughts:
            message["reasoning"] = "".join(thoughts)
        return message

    def _thought(self, block: Block) -> str:
        """Return the text of reasoning that some model wrote, whose signature vLLM does not need.

        Reasoning that only its own model can read is refused.
        """
        text: dict[str, str] | None = block["reasoningContent"].get("reasoningText")
        if text is None:
            name = self._conversation.name_of("unsigned_reasoning")
            message = "Encrypted reasoning is read by the model that wrote it, and no other."
            raise InvalidRequestError(message, param=name, code="unsupported_parameter")
        self._limits.require("unsigned_reasoning", "unsigned_reasoning")
        return text["text"]

    def _user(self, blocks: list[Block]) -> Iterator[Message]:
        """Yield the results of calls, which must follow the calls, and then what the user says."""
        for block in blocks:
            if "toolResult" in block:
                yield self._result(block["toolResult"])
        parts = [part for block in blocks for part in _parts(block)]
        if len(parts) == 1 and parts[0]["type"] == "text":
            yield {"role": "user", "content": parts[0]["text"]}
        elif parts:
            yield {"role": "user", "content": parts}

    def _result(self, result: dict[str, Any]) -> Message:
        if any("text" not in part for part in result["content"]):
            message = (
                "A tool's result is text for this model. Send images in a message of the user."
            )
            raise InvalidRequestError(message, param=self._conversation.name_of("image"))
        text = "\n".join(part["text"] for part in result["content"])
        failed = FAILED_CALL if result.get("status") == "error" else ""
        return {"role": "tool", "tool_call_id": result["toolUseId"], "content": failed + text}

    def _tools(self) -> dict[str, Any]:
        conversation = self._conversation
        if not conversation.tools:
            return {}
        self._limits.require("tools", "tools")
        fields: dict[str, Any] = {"tools": [self._tool(tool) for tool in conversation.tools]}
        if conversation.tools_forbidden:
            fields["tool_choice"] = "none"
        elif conversation.tool_choice:
            fields["tool_choice"] = self._choice(conversation.tool_choice)
        if conversation.sequential_tools:
            self._limits.require("sequential_tools", "sequential_tools")
            fields["parallel_tool_calls"] = False
        return fields

    def _choice(self, choice: Block) -> str | dict[str, Any]:
        if "auto" in choice:
            return "auto"
        self._limits.require("tool_choice", "tool_choice")
        if "any" in choice:
            return "required"
        return {"type": "function", "function": {"name": choice["tool"]["name"]}}

    def _tool(self, tool: Tool) -> dict[str, Any]:
        function: dict[str, Any] = {"name": tool.name, "parameters": tool.schema}
        if tool.description:
            function["description"] = tool.description
        if tool.strict:
            self._limits.require("strict_tools", "strict")
            function["strict"] = True
        return {"type": "function", "function": function}

    def _answer_format(self) -> dict[str, Any]:
        wanted = self._conversation.output_schema
        if wanted is None:
            return {}
        self._limits.require("json_schema", "output_schema")
        schema: dict[str, Any] = {"name": wanted.name or SCHEMA_NAME, "schema": wanted.schema}
        if wanted.description:
            schema["description"] = wanted.description
        return {"response_format": {"type": "json_schema", "json_schema": schema}}

    def _effort(self) -> dict[str, Any]:
        effort = self._limits.effort()
        if effort is None:
            return {}
        named = {"reasoning_effort": effort.effort} if effort.effort else {}
        return {**named, **effort.fields}


def _call(use: dict[str, Any]) -> dict[str, Any]:
    function = {"name": use["name"], "arguments": json.dumps(use["input"], ensure_ascii=False)}
    return {"id": use["toolUseId"], "type": "function", "function": function}


def _parts(block: Block) -> Iterator[dict[str, Any]]:
    if "text" in block:
        yield {"type": "text", "text": block["text"]}
    elif "image" in block:
        image = block["image"]
        data = base64.b64encode(image["source"]["bytes"]).decode()
        url = f"data:image/{image['format']};base64,{data}"
        yield {"type": "image_url", "image_url": {"url": url}}
