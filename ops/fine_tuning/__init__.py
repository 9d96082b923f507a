"""The fine-tuning job as Kubernetes objects: ``python -m ops fine-tune``."""
