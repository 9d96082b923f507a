"""Queries of CloudWatch Logs Insights, saved for people to run."""

from collections.abc import Sequence

from aws_cdk import aws_logs as logs
from constructs import Construct

from llm_constructs.signal import LogQuery
from llm_constructs.watched import WatchedLayer


class LogQueries(Construct):
    """The queries of ``layers``, in the console as ``<folder>/<layer>/<name>``."""

    def __init__(
        self, scope: Construct, construct_id: str, *, folder: str, layers: Sequence[WatchedLayer]
    ) -> None:
        super().__init__(scope, construct_id)
        for layer in layers:
            for construct in layer.constructs:
                for query in construct.queries:
                    self._save(f"{folder}/{layer.name}", construct.name, query)

    def _save(self, folder: str, owner: str, query: LogQuery) -> None:
        words = "".join(
            part.capitalize() for part in query.name.replace("/", " ").replace("-", " ").split()
        )
        # L1: the L2 writes only the commands that it has properties for, each once and in an order
        # of its own (https://docs.aws.amazon.com/cdk/api/v2/docs/aws-cdk-lib.aws_logs.QueryString.html).
        logs.CfnQueryDefinition(
            self,
            f"{owner}{words}",
            name=f"{folder}/{query.name}",
            log_group_names=[group.log_group_name for group in query.log_groups],
            query_string=query.text,
        )
