"""Trains transformers' GPT2LMHeadModel in a plain loop: ``transformers_loop.py STEPS DTYPE``.

Works in a folder with nanoGPT's data/bench/train.bin; prints ``{"times": [seconds per step], "parameters"}``.
"""

import json
import sys
import time

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel

WARM_UP_STEPS = 3  # not timed


def main(steps: int, dtype: torch.dtype) -> None:
    """Trains, and prints the times."""
    dropouts = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    shape = {"vocab_size": 4096, "n_positions": 256, "n_embd": 256, "n_layer": 4, "n_head": 4}
    model = GPT2LMHeadModel(GPT2Config(**shape, **dropouts, bos_token_id=0, eos_token_id=0, use_cache=False))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1, fused=True)
    tokens = torch.from_numpy(np.fromfile("data/bench/train.bin", dtype=np.uint16).astype(np.int64))
    times = []
    for step in range(steps):
        started = time.perf_counter()
        x = torch.stack([tokens[(step * 16 + r) * 256 :][:256] for r in range(16)])
        with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
            loss = model(input_ids=x, labels=x).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        loss.item()
        times.append(time.perf_counter() - started)
    parameters = sum(p.numel() for p in model.parameters())
    sys.stdout.write(json.dumps({"times": times[WARM_UP_STEPS:], "parameters": parameters}) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), getattr(torch, sys.argv[2]))
