"""Writes lines of metrics as a training does, in a process of its own: ROOT AFTER_STEP FIRST LAST [killed]."""

import os
import sys
import time

from model.training.metrics import Metrics
from pipeline.run.folder import Run


def line(step: int, attempt: int) -> dict[str, object]:
    """A line that says which attempt made it, as seconds do; the loss is the same."""
    return {
        **{"step": step, "tokens": 64 * step, "loss": 5.0 / 3.0 + 0.1 / step, "mfu": None},
        **{"seconds": attempt + step / 7.0, "skipped_steps": 0},
    }


def main(root: str, after_step: int, first: int, last: int, killed: bool) -> None:
    """Writes the lines of some steps, with a validation at each fourth."""
    metrics = Metrics(Run.open(root), after_step=after_step)
    for step in range(first, last + 1):
        metrics.write(line(step, after_step))
        if step % 4 == 0:
            groups = {"by_source": {"prose": {"validation_loss": 1.0 / step, "tokens": 7}}}
            metrics.write({"step": step, "tokens": 64 * step, "validation_loss": 2.0 / step, **groups})
        metrics.flush()
    if killed:
        time.sleep(1)  # what is on its way to another process arrives
        os._exit(9)
    metrics.close()
    tools = sorted({name.partition(".")[0] for name in sys.modules} & {"tensorboard", "wandb", "mlflow"})
    sys.stdout.write(f"{tools}\n")


if __name__ == "__main__":
    after_step, first, last = map(int, sys.argv[2:5])
    main(sys.argv[1], after_step, first, last, "killed" in sys.argv)
