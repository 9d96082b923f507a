"""The proof that nodes of a cluster reach each other over EFA: ``python -m ops fabric``."""
