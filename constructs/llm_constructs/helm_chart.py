"""Helm charts, pinned."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class HelmChart:
    """One version of a chart, and the name and namespace of its release.

    ``repository`` is the address of a chart repository, or of the chart itself in an OCI registry
    (``oci://…/name``).
    """

    name: str
    repository: str
    version: str
    namespace: str

    @property
    def release(self) -> str:
        """The name of the release: the chart's, for nothing is installed twice."""
        return self.name
