"""Charts with the names and versions of the pinned ones, and one object each."""

import json
from collections.abc import Iterable
from pathlib import Path

from llm_constructs.specs.controller_charts import CHARTS
from llm_constructs.specs.helm_chart import HelmChart

CONFIGURATION = """apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
  namespace: {{ .Release.Namespace }}
data:
  values: {{ toJson .Values | quote }}
"""


def write_charts(folder: Path, charts: Iterable[HelmChart] = CHARTS) -> None:
    """Write charts into ``folder`` as ``ops charts`` unpacks them."""
    for chart in charts:
        home = folder / f"{chart.name}-{chart.version}"
        (home / "templates").mkdir(parents=True)
        metadata = {
            "apiVersion": "v2",
            "name": chart.name,
            "version": chart.version,
            "description": "A chart of the tests",
        }
        (home / "Chart.yaml").write_text(
            "".join(f"{key}: {json.dumps(value)}\n" for key, value in metadata.items())
        )
        (home / "values.yaml").write_text("{}\n")
        (home / "templates" / "configuration.yaml").write_text(CONFIGURATION)
