"""The call to Converse that a conversation becomes for one model.

A model that lacks what the conversation needs is an error that names the field; nothing is left
out. Parameter names are Converse's:
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.catalogue import Model
from gateway.conversation import Block, Conversation, Tool
from gateway.errors import InvalidRequestError
from gateway.model_limits import ModelLimits

# https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html
MAXIMUM_CACHE_POINTS = 4
# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
MAXIMUM_METADATA = 16
METADATA_TEXT = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,\-.]{0,256}")
TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
GUARDED_IMAGE_FORMATS = {"png", "jpeg"}
GUARDED_RESULT = "The result follows as guarded content."
CACHE_POINT: Block = {"cachePoint": {"type": "default"}}


@dataclass(frozen=True)
class Guardrail:
    """The guardrail that every call carries, with its pinned version."""

    identifier: str
    version: str


class ConverseRequest:
    """Writes the parameters of one call."""

    def __init__(
        self,
        conversation: Conversation,
        model: Model,
        *,
        guardrail: Guardrail | None,
        caller_metadata: Mapping[str, str],
    ) -> None:
        self._conversation = conversation
        self._model = model
        self._limits = ModelLimits(conversation, model)
        self._guardrail = guardrail
        self._caller_metadata = caller_metadata

    def params(self, *, stream: bool) -> dict[str, Any]:
        """Return the call's parameters.

        Raises:
            InvalidRequestError: the model cannot do what a field asks for.
        """
        conversation = self._conversation
        self._limits.check_content()
        params: dict[str, Any] = {
            "modelId": self._model.model_id,
            "messages": self._messages(),
            "inferenceConfig": self._inference(),
            "requestMetadata": self._metadata(),
        }
        optional = {
            "system": list(conversation.system),
            "toolConfig": self._tool_config(),
            "outputConfig": self._output_config(),
            "serviceTier": self._service_tier(),
            "additionalModelRequestFields": self._additional_fields(),
            "guardrailConfig": self._guardrail_config(stream=stream),
        }
        params.update({key: value for key, value in optional.items() if value})
        self._cache(params)
        return params

    def _inference(self) -> dict[str, Any]:
        conversation = self._conversation
        config: dict[str, Any] = {"maxTokens": self._limits.max_tokens()}
        if conversation.temperature is not None:
            self._limits.require("temperature", "temperature")
            if conversation.temperature > 1:
                message = "Models on Bedrock take a temperature from 0 to 1."
                raise InvalidRequestError(message, param=conversation.name_of("temperature"))
            config["temperature"] = conversation.temperature
        if conversation.top_p is not None:
            self._limits.require("top_p", "top_p")
            config["topP"] = conversation.top_p
        if conversation.stop:
            self._limits.require("stop", "stop")
            config["stopSequences"] = list(conversation.stop)
        return config

    def _metadata(self) -> dict[str, str]:
        merged = {**self._conversation.metadata, **self._caller_metadata}
        name = self._conversation.name_of("metadata")
        if len(merged) > MAXIMUM_METADATA:
            own = MAXIMUM_METADATA - len(self._caller_metadata)
            message = f"There are {len(self._conversation.metadata)} entries. Use at most {own}."
            raise InvalidRequestError(message, param=name)
        for key, value in merged.items():
            if not key or not METADATA_TEXT.fullmatch(key) or not METADATA_TEXT.fullmatch(value):
                message = (
                    f"The entry {key!r} has characters that Bedrock does not take, or is longer "
                    "than 256. Use letters, digits, spaces and :_@$#=/+,-."
                )
                raise InvalidRequestError(message, param=name)
        return merged

    def _messages(self) -> list[dict[str, Any]]:
        self._limits.check_opening()
        messages = [
            {"role": message["role"], "content": list(message["content"])}
            for message in self._conversation.messages
        ]
        if self._conversation.tools_forbidden:
            messages = [_without_tools(message) for message in messages]
        if self._guardrail:
            messages = [self._guarded(message) for message in messages]
        return messages

    def _guarded(self, message: dict[str, Any]) -> dict[str, Any]:
        """Mark what users and tools say as content to guard.

        With one such block in a request a guardrail reads no other text, so that all of it is
        marked. A tool result cannot hold a marked block: its text moves behind the results.
        https://docs.aws.amazon.com/bedrock/latest/userguide/guardrails-use-converse-api.html
        """
        if message["role"] != "user":
            return message
        blocks: list[Block] = []
        moved: list[Block] = []
        for block in message["content"]:
            if "toolResult" in block:
                result, texts = _split_result(block["toolResult"])
                blocks.append(result)
                moved.extend(texts)
            else:
                blocks.append(self._guarded_block(block))
        results = [block for block in blocks if "toolResult" in block]
        others = [block for block in blocks if "toolResult" not in block]
        return {"role": "user", "content": [*results, *moved, *others]}

    def _guarded_block(self, block: Block) -> Block:
        if "text" in block:
            return _guard_text(block["text"])
        guards_images = "guarded_images" in self._model.capabilities
        if guards_images and block.get("image", {}).get("format") in GUARDED_IMAGE_FORMATS:
            return {"guardContent": {"image": block["image"]}}
        return block

    def _tool_config(self) -> dict[str, Any] | None:
        conversation = self._conversation
        if not conversation.tools or conversation.tools_forbidden:
            if not conversation.tools_forbidden and _has_tool_blocks(conversation.messages):
                message = "The messages hold tool calls, so the request must define the tools."
                raise InvalidRequestError(message, param=conversation.name_of("tools"))
            return None
        self._limits.require("tools", "tools")
        tools = [entry for tool in conversation.tools for entry in self._tool(tool)]
        config: dict[str, Any] = {"tools": tools}
        if conversation.tool_choice:
            if "auto" not in conversation.tool_choice:
                self._limits.require("tool_choice", "tool_choice")
            config["toolChoice"] = conversation.tool_choice
        return config

    def _tool(self, tool: Tool) -> Iterator[Block]:
        if not TOOL_NAME.fullmatch(tool.name):
            message = f"The tool name {tool.name!r} must be 1 to 64 of a-z, A-Z, 0-9, _ and -."
            raise InvalidRequestError(message, param=self._conversation.name_of("tools"))
        spec: dict[str, Any] = {"name": tool.name, "inputSchema": {"json": tool.schema}}
        if tool.description:
            spec["description"] = tool.description
        if tool.strict:
            self._limits.require("strict_tools", "strict")
            spec["strict"] = True
        yield {"toolSpec": spec}
        if tool.cache_point:
            yield tool.cache_point

    def _output_config(self) -> dict[str, Any]:
        config: dict[str, Any] = {}
        if self._conversation.output_schema:
            self._limits.require("json_schema", "output_schema")
            wanted = self._conversation.output_schema
            named = {"name": wanted.name, "description": wanted.description}
            schema = {key: value for key, value in named.items() if value}
            schema["schema"] = json.dumps(wanted.schema)
            config["textFormat"] = {"type": "json_schema", "structure": {"jsonSchema": schema}}
        effort = self._limits.effort()
        if effort and effort.effort:
            config["effort"] = effort.effort
        return config

    def _service_tier(self) -> dict[str, str] | None:
        tier = self._limits.service_tier()
        return None if tier is None else {"type": tier}

    def _additional_fields(self) -> dict[str, Any]:
        conversation = self._conversation
        fields = dict(self._model.additional_fields)
        effort = self._limits.effort()
        if effort:
            fields.update(effort.fields)
        if conversation.thinking is not None:
            self._limits.require("thinking", "thinking")
            fields["thinking"] = conversation.thinking
        if conversation.top_k is not None:
            self._limits.require("top_k", "top_k")
            fields["top_k"] = conversation.top_k
        if (
            conversation.sequential_tools
            and conversation.tools
            and not conversation.tools_forbidden
        ):
            self._limits.require("sequential_tools", "sequential_tools")
            # Claude's own member. Beside a toolChoice its type would be given twice.
            kind = {} if conversation.tool_choice else {"type": "auto"}
            fields["tool_choice"] = {**kind, "disable_parallel_tool_use": True}
        return fields

    def _guardrail_config(self, *, stream: bool) -> dict[str, str] | None:
        if self._guardrail is None:
            return None
        config = {
            "guardrailIdentifier": self._guardrail.identifier,
            "guardrailVersion": self._guardrail.version,
            "trace": "disabled",
        }
        if stream:
            # In asynchronous mode a guardrail masks nothing in streams.
            config["streamProcessingMode"] = "sync"
        return config

    def _cache(self, params: dict[str, Any]) -> None:
        """Place cache points, unless the client placed its own."""
        explicit = sum(1 for block in _cacheable(params) if "cachePoint" in block)
        if explicit > MAXIMUM_CACHE_POINTS:
            message = f"There are {explicit} cache points. Use at most {MAXIMUM_CACHE_POINTS}."
            raise InvalidRequestError(message, param=self._conversation.name_of("cache_control"))
        if explicit:
            self._limits.require("prompt_cache", "cache_control")
            if any(block.get("cachePoint", {}).get("ttl") == "1h" for block in _cacheable(params)):
                self._limits.require("prompt_cache_1h", "cache_control")
            return
        if "prompt_cache" in self._model.capabilities:
            self._cache_automatically(params)

    def _cache_automatically(self, params: dict[str, Any]) -> None:
        """Mark tools, system and the last two user turns: the second is what the next call reads.

        A prefix below the model's minimum is left: Bedrock would not keep it. A first question is
        marked nowhere but in tools and system: it may be the only one.
        """
        prefix = self._conversation.size_of_tools()
        if "toolConfig" in params and self._is_worth_caching(prefix):
            params["toolConfig"]["tools"].append(CACHE_POINT)
        prefix += self._conversation.size_of_system()
        if "system" in params and self._is_worth_caching(prefix):
            params["system"].append(CACHE_POINT)
        prefix += self._conversation.size_of_messages()
        turns = [message for message in params["messages"] if message["role"] == "user"]
        if len(turns) > 1 and self._is_worth_caching(prefix):
            for message in turns[-2:]:
                message["content"].append(CACHE_POINT)

    def _is_worth_caching(self, size: int) -> bool:
        return self._model.tokens_of(size) >= self._model.cache_minimum_tokens


def _has_tool_blocks(messages: list[dict[str, Any]]) -> bool:
    return any(
        "toolUse" in block or "toolResult" in block
        for message in messages
        for block in message["content"]
    )


def _without_tools(message: dict[str, Any]) -> dict[str, Any]:
    """Write tool calls and results out as text.

    Converse has no choice "none", and takes no tool blocks without tools that could be called.
    """
    content = [part for block in message["content"] for part in _as_text(block)]
    return {"role": message["role"], "content": content}


def _as_text(block: Block) -> list[Block]:
    if "toolUse" in block:
        use = block["toolUse"]
        return [
            {"text": f"[Called {use['name']} ({use['toolUseId']}): {json.dumps(use['input'])}]"}
        ]
    if "toolResult" in block:
        result = block["toolResult"]
        head = {"text": f"[Result of the call {result['toolUseId']}:]"}
        return [head, *result["content"]]
    return [block]


def _split_result(result: dict[str, Any]) -> tuple[Block, list[Block]]:
    texts = [part["text"] for part in result["content"] if "text" in part]
    if not texts:
        return {"toolResult": result}, []
    rest = [part for part in result["content"] if "text" not in part]
    moved = {**result, "content": [{"text": GUARDED_RESULT}, *rest]}
    head = f"Result of the tool call {result['toolUseId']}:\n"
    return {"toolResult": moved}, [_guard_text(head + "\n".join(texts))]


def _guard_text(text: str) -> Block:
    return {"guardContent": {"text": {"text": text}}}


def _cacheable(params: dict[str, Any]) -> Iterator[Block]:
    for message in params["messages"]:
        yield from message["content"]
    yield from params.get("system", [])
    yield from params.get("toolConfig", {}).get("tools", [])
