"""Environments: what each has, read from its TOML file and validated.

Use :func:`load` for one, :func:`load_selected` for what a command was asked for.
"""

from config.environment import Environment
from config.errors import ConfigError
from config.loading import ALL, environment_names, load, load_selected

__all__ = ["ALL", "ConfigError", "Environment", "environment_names", "load", "load_selected"]
