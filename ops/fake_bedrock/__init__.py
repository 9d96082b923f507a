"""A fake of Bedrock that speaks its real protocols, for tests and the local cloud."""
