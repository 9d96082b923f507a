"""Whether an account is ready for an environment, asked before a deployment finds out."""
