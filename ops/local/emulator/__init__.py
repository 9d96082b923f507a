"""What is added to ministack, and runs in its process and with its packages.

ministack pins a botocore that the project cannot use, so this package is never imported by the
project's own interpreter: ``python -m ops.local.emulator`` starts it with the emulator's.
"""
