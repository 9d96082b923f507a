"""The OpenAI-compatible gateway in front of Amazon Bedrock."""
