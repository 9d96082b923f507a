"""Accelerators beforehand: what is sold when and where, at which price, and buying it."""
