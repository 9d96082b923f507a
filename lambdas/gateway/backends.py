"""Where a model answers: Bedrock, or a model server of the environment."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.api.embeddings import Embed
from gateway.bedrock import BedrockRuntime, ConverseCall, EmbeddingCall
from gateway.catalogue import Model
from gateway.conversation import Conversation
from gateway.converse_request import ConverseRequest, Guardrail
from gateway.guarded_call import GuardedCall
from gateway.model_limits import ModelLimits
from gateway.upstream import Call
from gateway.vllm.client import VllmCall, VllmClient, VllmEmbeddingCall
from gateway.vllm.request import ChatCompletionRequest


@dataclass(frozen=True)
class PreparedCall:
    """A call that is ready to be made, and the most tokens that it may answer with."""

    call: Call
    max_tokens: int


@dataclass(frozen=True)
class Backends:
    """Prepares calls. Nothing is sent before a call is made.

    ``guardrail`` goes with every conversation: in the call to Bedrock, around that to a server.
    """

    bedrock: BedrockRuntime
    servers: VllmClient
    guardrail: Guardrail | None

    def prepare(
        self,
        conversation: Conversation,
        model: Model,
        *,
        caller_metadata: Mapping[str, str],
        stream: bool,
    ) -> PreparedCall:
        """Return the call that a conversation becomes.

        Raises:
            InvalidRequestError: the model cannot do what the conversation asks for.
        """
        call = (
            self._converse(conversation, model, caller_metadata, stream=stream)
            if model.base_url is None
            else self._serve(conversation, model, stream=stream)
        )
        return PreparedCall(call, ModelLimits(conversation, model).max_tokens())

    def embed(self, model: Model, metadata: dict[str, str]) -> Embed:
        """Return what calls an embedding model."""
        if model.base_url is None:
            return EmbeddingCall(self.bedrock, metadata)
        return VllmEmbeddingCall(self.servers, model)

    def _converse(
        self,
        conversation: Conversation,
        model: Model,
        caller_metadata: Mapping[str, str],
        *,
        stream: bool,
    ) -> Call:
        request = ConverseRequest(
            conversation, model, guardrail=self.guardrail, caller_metadata=caller_metadata
        )
        return ConverseCall(self.bedrock, request.params(stream=stream), stream=stream)

    def _serve(self, conversation: Conversation, model: Model, *, stream: bool) -> Call:
        def begin(guarded: Conversation) -> VllmCall:
            body = ChatCompletionRequest(guarded, model).body()
            return VllmCall(self.servers, model, body, stream=stream)

        # Whatever the model cannot do is refused before anything is paid for.
        call = begin(conversation)
        if self.guardrail is None:
            return call
        return GuardedCall(self.bedrock, self.guardrail, conversation, begin, stream=stream)
