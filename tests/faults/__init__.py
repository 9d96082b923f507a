"""Mistakes planted into what is right, and which check finds each."""
