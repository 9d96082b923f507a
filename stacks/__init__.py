"""Stacks: which constructs an environment has, and what they hand to each other."""
