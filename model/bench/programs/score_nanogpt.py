"""Scores a nanoGPT checkpoint on all validation windows with its own code: a copy of this runs beside its model.py.

Works in the folder that nanoGPT trained in; prints ``{"loss", "parameters"}``.
"""

import importlib
import json
import sys

import numpy as np
import torch

CONTEXT, BATCH = 256, 16


def main() -> None:
    """Prints the mean loss."""
    nanogpt = importlib.import_module("model")  # the model.py beside this file, not this project's package
    saved = torch.load("out/ckpt.pt", map_location="cpu", weights_only=False)
    model = nanogpt.GPT(nanogpt.GPTConfig(**saved["model_args"]))
    model.load_state_dict(saved["model"])
    tokens = torch.from_numpy(np.fromfile("data/bench/val.bin", dtype=np.uint16).astype(np.int64))
    windows = (len(tokens) - 1) // CONTEXT
    total, count = 0.0, 0
    with torch.no_grad():
        for first in range(0, windows, BATCH):
            starts = [row * CONTEXT for row in range(first, min(first + BATCH, windows))]
            x = torch.stack([tokens[start : start + CONTEXT] for start in starts])
            y = torch.stack([tokens[start + 1 : start + 1 + CONTEXT] for start in starts])
            total += float(model(x, y)[1]) * y.numel()
            count += y.numel()
    parameters = sum(p.numel() for p in model.parameters())
    sys.stdout.write(json.dumps({"loss": total / count, "parameters": parameters}) + "\n")


if __name__ == "__main__":
    main()
