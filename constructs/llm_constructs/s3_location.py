"""A place in S3."""

from dataclasses import dataclass

from aws_cdk import aws_s3 as s3

from llm_constructs.specs.problem import Problems


@dataclass(frozen=True)
class S3Location:
    """The objects of ``bucket`` whose keys begin with ``prefix``; an empty prefix means all.

    Raises :class:`SpecificationError` for a prefix that is not empty and does not end in a slash,
    because ``data`` would also mean ``database/``.
    """

    bucket: s3.IBucket
    prefix: str = ""

    def __post_init__(self) -> None:
        problems = Problems("S3 location")
        problems.require(
            not self.prefix or (self.prefix.endswith("/") and not self.prefix.startswith("/")),
            "prefix",
            self.prefix,
            "A prefix stands for a folder.",
            f"Write it as '{self.prefix.strip('/')}/', or leave it empty for the whole bucket.",
        )
        problems.raise_if_any()

    @property
    def uri(self) -> str:
        """``s3://`` and where it is; holds the bucket's name as a token."""
        return f"s3://{self.bucket.bucket_name}/{self.prefix}"

    def overlaps(self, other: "S3Location") -> bool:
        """Whether one location lies in the other, or is the same."""
        same_bucket = self.bucket.node.path == other.bucket.node.path
        nested = self.prefix.startswith(other.prefix) or other.prefix.startswith(self.prefix)
        return same_bucket and nested
