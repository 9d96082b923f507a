"""Reusable AWS CDK constructs for the life of large language models.

Nothing here knows an environment's name: what differs between environments comes in through
constructor arguments. The values that constructs take are in :mod:`llm_constructs.specs`,
which is importable without the CDK.
"""
