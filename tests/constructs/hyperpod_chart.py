"""A chart with the names and conditions of HyperPod's, and a ConfigMap for each of its parts.

As there, they are in a namespace that one of the parts makes.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from llm_constructs.chart_folder import folder_digest
from llm_constructs.specs.hyperpod_kubernetes import ChartFolder

VERSION = "0.1.0"
AGENTS_HOME = "aws-hyperpod"

PARTS: Mapping[str, str] = MappingProxyType(
    {
        "cert-manager": "cert-manager.enabled",
        "training-operators": "trainingOperators.enabled",
        "mlflow": "mlflow.enabled",
        "nvidia-device-plugin": "nvidia-device-plugin.devicePlugin.enabled",
        "aws-efa-k8s-device-plugin": "aws-efa-k8s-device-plugin.devicePlugin.enabled",
        "neuron-device-plugin": "neuron-device-plugin.devicePlugin.enabled",
        "storage": "storage.enabled",
        "health-monitoring-agent": "health-monitoring-agent.enabled",
        "mpi-operator": "mpi-operator.enabled",
        "deep-health-check": "deep-health-check.enabled",
        "job-auto-restart": "job-auto-restart.enabled",
        "hyperpod-inference-operator": "inferenceOperators.enabled",
        "hyperpod-patching": "hyperpod-patching.enabled",
        "gpu-operator": "gpu-operator.enabled",
    }
)
"""Conditions of the parts.

https://github.com/aws/sagemaker-hyperpod-cli/blob/main/helm_chart/HyperPodHelmChart/Chart.yaml
"""


def write_chart(
    folder: Path, *, name: str = "hyperpod-helm-chart", parts: Mapping[str, str] = PARTS
) -> ChartFolder:
    """Write the chart to ``folder`` and return the pin that fits it."""
    lines = [f"apiVersion: v2\nname: {name}\nversion: {VERSION}\ntype: application\n"]
    lines.append("description: Stands for HyperPod's chart in tests\ndependencies:\n")
    for part, condition in parts.items():
        lines.append(f'  - name: {part}\n    version: "{VERSION}"\n')
        lines.append(f'    repository: "file://charts/{part}"\n    condition: {condition}\n')
        _write_part(folder / "charts" / part, part)
    (folder / "Chart.yaml").write_text("".join(lines), encoding="utf-8")
    (folder / "templates").mkdir()
    (folder / "templates" / "_names.tpl").write_text('{{- define "x" }}{{ end }}', encoding="utf-8")
    (folder / "values.yaml").write_text("{}\n", encoding="utf-8")
    return pin_of(folder)


def pin_of(folder: Path) -> ChartFolder:
    """Return the pin of what lies in ``folder``."""
    return ChartFolder(path=str(folder), version=VERSION, digest=folder_digest(folder))


def _write_part(folder: Path, name: str) -> None:
    templates = folder / "templates"
    templates.mkdir(parents=True)
    (folder / "Chart.yaml").write_text(
        f"apiVersion: v2\nname: {name}\nversion: {VERSION}\n", encoding="utf-8"
    )
    text = (
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: {AGENTS_HOME}}}\n"
    )
    if name == "deep-health-check":
        text += f"---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {AGENTS_HOME}}}\n"
    (templates / "part.yaml").write_text(text, encoding="utf-8")
