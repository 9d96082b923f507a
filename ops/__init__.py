"""The command line around the stacks: ``python -m ops --help``."""
