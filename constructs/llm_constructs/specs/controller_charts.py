"""The Helm charts of a cluster's controllers, at the versions that they are pinned at."""

from typing import Final

from llm_constructs.specs.helm_chart import HelmChart

KARPENTER_VERSION: Final = "1.14.1"
"""The first minor version for Kubernetes 1.36 is 1.13.

https://karpenter.sh/docs/upgrading/compatibility/
"""

LOAD_BALANCER_CONTROLLER: Final = HelmChart(
    name="aws-load-balancer-controller",
    repository="https://aws.github.io/eks-charts",
    version="3.4.2",
    namespace="kube-system",
    images={"image.repository": "public.ecr.aws/eks/aws-load-balancer-controller"},
)

EXTERNAL_DNS: Final = HelmChart(
    name="external-dns",
    repository="https://kubernetes-sigs.github.io/external-dns/",
    version="1.20.0",
    namespace="external-dns",
    images={"image.repository": "registry.k8s.io/external-dns/external-dns"},
)

KEDA: Final = HelmChart(
    name="keda",
    repository="https://kedacore.github.io/charts",
    version="2.20.1",
    namespace="keda",
    images={
        f"image.{part}.registry": "ghcr.io" for part in ("keda", "metricsApiServer", "webhooks")
    },
    # The certificates of its API and webhook, which the operator draws:
    # https://keda.sh/docs/latest/operate/security/#use-your-own-tls-certificates
    secrets=("kedaorg-certs",),
)

KUEUE: Final = HelmChart(
    name="kueue",
    repository="oci://registry.k8s.io/kueue/charts/kueue",
    version="0.18.2",
    namespace="kueue-system",
    images={"controllerManager.manager.image.repository": "registry.k8s.io/kueue/kueue"},
)

LEADER_WORKER_SET: Final = HelmChart(
    name="lws",
    repository="oci://registry.k8s.io/lws/charts/lws",
    version="0.9.0",
    namespace="lws-system",
    images={"image.manager.repository": "registry.k8s.io/lws/lws"},
)

DCGM_EXPORTER: Final = HelmChart(
    name="dcgm-exporter",
    repository="https://nvidia.github.io/dcgm-exporter/helm-charts",
    version="4.8.1",
    namespace="kube-system",
    images={"image.repository": "nvcr.io/nvidia/k8s/dcgm-exporter"},
)

KARPENTER_CRDS: Final = HelmChart(
    name="karpenter-crd",
    repository="oci://public.ecr.aws/karpenter/karpenter-crd",
    version=KARPENTER_VERSION,
    namespace="kube-system",
)

KARPENTER: Final = HelmChart(
    name="karpenter",
    repository="oci://public.ecr.aws/karpenter/karpenter",
    version=KARPENTER_VERSION,
    namespace="kube-system",
    images={"controller.image.repository": "public.ecr.aws/karpenter/controller"},
)

NVIDIA_DEVICE_PLUGIN: Final = HelmChart(
    name="nvidia-device-plugin",
    repository="https://nvidia.github.io/k8s-device-plugin",
    version="0.18.2",
    namespace="kube-system",
    images={"image.repository": "nvcr.io/nvidia/k8s-device-plugin"},
)
"""Not the GPU operator: the EKS images carry driver and toolkit, and its DCGM would be a second."""

NEURON: Final = HelmChart(
    name="neuron-helm-chart",
    repository="oci://public.ecr.aws/neuron/neuron-helm-chart",
    version="1.8.0",
    namespace="kube-system",
    images={
        "devicePlugin.image.repository": "public.ecr.aws/neuron/neuron-device-plugin",
        "scheduler.image.repository": "public.ecr.aws/neuron/neuron-scheduler",
        "scheduler.customScheduler.image.repository": "registry.k8s.io/kube-scheduler",
        "npd.nodeProblemDetector.image.repository": (
            "registry.k8s.io/node-problem-detector/node-problem-detector"
        ),
        # It runs beside the detector whether it may replace nodes or not.
        "npd.nodeRecovery.image.repository": "public.ecr.aws/neuron/neuron-node-recovery",
    },
)

EFA_DEVICE_PLUGIN: Final = HelmChart(
    name="aws-efa-k8s-device-plugin",
    repository="https://aws.github.io/eks-charts",
    version="v0.5.29",
    namespace="kube-system",
    images={
        "image.repository": (
            "602401143452.dkr.ecr.us-west-2.amazonaws.com/eks/aws-efa-k8s-device-plugin"
        )
    },
)

CHARTS: Final = (
    DCGM_EXPORTER,
    EFA_DEVICE_PLUGIN,
    EXTERNAL_DNS,
    KARPENTER,
    KARPENTER_CRDS,
    KEDA,
    KUEUE,
    LEADER_WORKER_SET,
    LOAD_BALANCER_CONTROLLER,
    NEURON,
    NVIDIA_DEVICE_PLUGIN,
)
"""Every chart that some cluster may have."""
