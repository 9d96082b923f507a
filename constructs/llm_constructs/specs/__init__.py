"""Typed values that constructs take, free of the CDK.

Each is a frozen dataclass that validates itself when it is made, so that an environment's file,
a constructor call and an operator's command refuse the same mistakes with the same sentence.
"""
