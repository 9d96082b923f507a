"""What an environment costs in a month, and what instances cost in an hour."""
