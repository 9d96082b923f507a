"""What can be wrong that the caller must repair."""


class FineTuningError(Exception):
    """A sentence for whoever started the job: what is wrong and what to do about it."""
