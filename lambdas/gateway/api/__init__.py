"""The APIs that the gateway speaks: each reads requests and writes replies in its own form."""
