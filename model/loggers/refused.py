"""What is in the way of a tool that a training is to report to; it is asked before anything starts."""

import importlib.util
import os
from collections.abc import Iterator, Sequence

from pipeline.base import storage
from pipeline.recipe.training_options import LOGGER_PACKAGES

TRACKING_URI = "MLFLOW_TRACKING_URI"


def refused(loggers: Sequence[str], root: str) -> Iterator[str]:
    """Why a training of the run at ``root`` cannot report to some of them, a sentence each."""
    missing = [name for name in loggers if importlib.util.find_spec(name) is None]
    if missing:
        packages = " ".join(LOGGER_PACKAGES[name] for name in missing)
        yield f"train.loggers names {', '.join(missing)}, which is not installed: pip install {packages}"
    if storage.is_local(root):
        return
    if here := [name for name in loggers if name != "mlflow" or not os.environ.get(TRACKING_URI)]:
        yield (
            f"train.loggers names {', '.join(here)}, which write to a folder on this machine, and {root} is none: "
            f"leave them out, or name a server of MLflow's in {TRACKING_URI}; metrics/train.jsonl has every figure"
        )
