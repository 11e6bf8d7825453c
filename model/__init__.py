"""Token shards -> pre-trained checkpoint.  The only package that imports torch, and not before it is needed.

``stage``  the train stage of a run: is it done, and the processes that do it
``train``  ``python -m model.train``: command line and exit codes of such a process
``several``  torchrun with those exit codes
``trial``  scores one training of an ablation

Rooms, each of which knows only those below it: ``bench`` (beside peers), ``training``, ``evaluation``, ``export``
(Hugging Face's form), ``plan`` (what a training will need), ``data`` (tokens as tensors), ``network``, ``checkpoints``,
``devices``.
"""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from model.data.batches import TokenDataset
    from model.network.config import ModelConfig
    from model.network.transformer import Transformer

# Read when torch is loaded: its threads sleep while they wait for each other. Spinning, which is the default, takes the
# processor from the very threads that are waited for wherever anything else runs beside the training.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__all__ = ["ModelConfig", "TokenDataset", "Transformer"]

_HOMES = {
    "ModelConfig": "model.network.config",
    "TokenDataset": "model.data.batches",
    "Transformer": "model.network.transformer",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
