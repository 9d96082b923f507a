"""Scheduling policies and quotas of HyperPod, where CloudFormation has no resource for them."""
