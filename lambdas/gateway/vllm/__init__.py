"""Models that vLLM serves on the environment's cluster, as another backend of the gateway."""
