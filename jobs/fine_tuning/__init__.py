"""The fine-tuning job: LoRA over a curated dataset, on GPUs or Trainium, which can be interrupted.

Only :mod:`fine_tuning.lora` and :mod:`fine_tuning.ranks` know PyTorch. What makes a run go on where
it was is plain Python beside them: :mod:`fine_tuning.checkpoint_store`,
:mod:`fine_tuning.stop_request` and :mod:`fine_tuning.run`. ``docs/jobs.md`` says how it is started.
"""
