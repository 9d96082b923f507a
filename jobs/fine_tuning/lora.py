"""LoRA with Hugging Face's transformers and PEFT, sharded over the ranks by FSDP2.

The same lines serve CUDA and Neuron, whose native backend takes both libraries and FSDP2 as they
are: https://awsdocs-neuron.readthedocs-hosted.com/en/latest/training.html
"""

from pathlib import Path
from typing import Any, Final

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_state_dict,
    set_state_dict,
)
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from transformers import AutoModelForCausalLM

from fine_tuning.ranks import ProcessGroup
from fine_tuning.settings import Settings
from fine_tuning.token_dataset import TokenDataset, positions_of, sequence_at

STATE: Final = "state.pt"
ADAPTER: Final = "adapter_model.safetensors"
"""Where PEFT and vLLM look for an adapter: https://huggingface.co/docs/peft/developer_guides/checkpoint."""

LARGEST_NORM: Final = 1.0
"""Of the gradient, above which it is scaled down."""

_ADAPTERS: Final = StateDictOptions(
    full_state_dict=True, cpu_offload=True, ignore_frozen_params=True, strict=False
)


class LoraTrainer:
    """A base model that stays as it is, with adapters that learn to predict the next token."""

    def __init__(self, settings: Settings, ranks: ProcessGroup, dataset: TokenDataset) -> None:
        self._settings = settings
        self._ranks = ranks
        self._dataset = dataset
        torch.manual_seed(settings.seed)
        self._model = _adapted(settings)
        _shard(self._model, ranks.device)
        learning = [it for it in self._model.parameters() if it.requires_grad]
        self._optimizer = torch.optim.AdamW(learning, lr=settings.learning_rate)

    def load(self, folder: Path) -> None:
        """Take over adapters and optimiser from ``folder``."""
        state = torch.load(folder / STATE, map_location="cpu", weights_only=True)
        set_state_dict(
            self._model,
            self._optimizer,
            model_state_dict=state["model"],
            optim_state_dict=state["optimizer"],
            options=_ADAPTERS,
        )

    def train(self, step: int) -> float:
        """Take one step over this rank's share of the batch; return the loss of the whole batch."""
        positions = positions_of(
            step, batch=self._settings.batch, rank=self._ranks.index, ranks=self._ranks.count
        )
        total = torch.zeros((), device=self._ranks.device)
        for position in positions:
            # Gradients cross the network once for each step.
            self._model.set_requires_gradient_sync(position == positions[-1])
            loss = self._loss(position) / len(positions)
            loss.backward()
            total += loss.detach()
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), LARGEST_NORM)
        for group in self._optimizer.param_groups:
            group["lr"] = self._settings.learning_rate * min(1.0, step / self._settings.warm_up)
        self._optimizer.step()
        self._optimizer.zero_grad()
        torch.distributed.all_reduce(total)
        return float(total.item()) / self._ranks.count

    def save(self, folder: Path | None) -> None:
        """Write the state, and the adapters as inference takes them; every rank must call it."""
        model, optimizer = get_state_dict(self._model, self._optimizer, options=_ADAPTERS)
        if folder is None:
            return
        torch.save({"model": model, "optimizer": optimizer}, folder / STATE)
        adapters = get_peft_model_state_dict(self._model, state_dict=model)
        save_file({name: it.contiguous() for name, it in adapters.items()}, folder / ADAPTER)
        self._model.peft_config["default"].save_pretrained(str(folder))

    def _loss(self, position: int) -> Any:
        index = sequence_at(position, len(self._dataset), self._settings.seed)
        tokens = torch.from_numpy(self._dataset[index])[None].to(self._ranks.device)
        return self._model(input_ids=tokens, labels=tokens, use_cache=False).loss


def _adapted(settings: Settings) -> Any:
    """Return the base model with adapters beside each of its linear layers."""
    base = AutoModelForCausalLM.from_pretrained(settings.model, dtype=torch.bfloat16)
    base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return get_peft_model(
        base,
        LoraConfig(
            task_type="CAUSAL_LM",
            r=settings.adapter_rank,
            lora_alpha=settings.adapter_alpha,
            target_modules="all-linear",
        ),
    )


def _shard(model: Any, device: Any) -> None:
    """Shard each decoder layer, and what is left, over all ranks of ``device``'s type."""
    mesh = torch.distributed.init_device_mesh(device.type, (torch.distributed.get_world_size(),))
    # Adapters are kept and summed in 32 bits: small updates vanish in 16.
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    for layer in model.get_base_model().get_decoder().layers:
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy)
