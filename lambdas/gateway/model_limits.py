"""What a model cannot do, as refusals that name the client's field; the same for every backend."""

from dataclasses import dataclass

from gateway.catalogue import Capability, Effort, Model
from gateway.conversation import Block, Conversation
from gateway.errors import InvalidRequestError


@dataclass(frozen=True)
class ModelLimits:
    """Holds a conversation against the model that is to answer it."""

    conversation: Conversation
    model: Model

    def max_tokens(self) -> int:
        """Return the limit of output tokens, which is always sent.

        Raises:
            InvalidRequestError: the client asks for more than the model can give.
        """
        asked = self.conversation.max_tokens
        if asked is not None and asked > self.model.max_output_tokens:
            message = (
                f"{asked} is more than this model can give. "
                f"Use {self.model.max_output_tokens} or less."
            )
            raise InvalidRequestError(message, param=self.conversation.name_of("max_tokens"))
        return asked or self.model.default_output_tokens

    def require(self, capability: Capability, field_name: str) -> None:
        """Refuse ``field_name`` unless the model has ``capability``.

        Raises:
            InvalidRequestError: it has not.
        """
        if capability not in self.model.capabilities:
            name = self.conversation.name_of(field_name)
            message = (
                f"The model {self.conversation.model!r} does not support {name}. "
                "Leave it out or choose another model."
            )
            raise InvalidRequestError(message, param=name, code="unsupported_parameter")

    def check_content(self) -> None:
        """Refuse images, documents and reasoning of others that the model does not read.

        Raises:
            InvalidRequestError: there are some.
        """
        if self.conversation.system:
            self.require("system", "system")
        for message in self.conversation.messages:
            for block in message["content"]:
                parts = block["toolResult"]["content"] if "toolResult" in block else [block]
                for part in parts:
                    if "image" in part:
                        self.require("image", "image")
                    if "document" in part:
                        self.require("document", "document")
                self._check_reasoning(block)

    def check_opening(self) -> None:
        """Refuse a conversation that nobody opened.

        Raises:
            InvalidRequestError: it does not start with a user's message.
        """
        messages = self.conversation.messages
        if not messages or messages[0]["role"] != "user":
            message = "A conversation must start with a user message that is not blank."
            raise InvalidRequestError(message, param=self.conversation.name_of("messages"))

    def effort(self) -> Effort | None:
        """Return what the reasoning effort that the client asks for becomes.

        Raises:
            InvalidRequestError: the model has no such effort.
        """
        asked = self.conversation.effort
        if asked is None:
            return None
        if asked not in self.model.efforts:
            offered = ", ".join(self.model.efforts) or "none: leave the field out"
            message = f"The model has no effort {asked!r}. It offers {offered}."
            raise InvalidRequestError(message, param=self.conversation.name_of("effort"))
        return self.model.efforts[asked]

    def service_tier(self) -> str | None:
        """Return the service tier that the client asks for.

        Raises:
            InvalidRequestError: the model has no such tier.
        """
        tier = self.conversation.service_tier
        if tier is not None and tier not in self.model.service_tiers:
            offered = ", ".join(sorted(self.model.service_tiers)) or "none: leave the field out"
            message = f"The model has no service tier {tier!r}. It offers {offered}."
            raise InvalidRequestError(message, param=self.conversation.name_of("service_tier"))
        return tier

    def _check_reasoning(self, block: Block) -> None:
        text = block.get("reasoningContent", {}).get("reasoningText")
        if text and "signature" not in text:
            self.require("unsigned_reasoning", "unsigned_reasoning")
