"""A fake of the Bedrock runtime that speaks its real protocol, for tests and the local cloud."""
