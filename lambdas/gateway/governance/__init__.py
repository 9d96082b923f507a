"""Governance of the gateway: who calls, what it may spend, what is written down about it.

Nothing here imports an AWS library when it is loaded: clients are handed in, so that the cost of
a cold start is the caller's to decide.
"""
