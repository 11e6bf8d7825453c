"""TensorBoard's event files, in ``metrics/tensorboard/`` of the run: `tensorboard --logdir RUN/metrics/tensorboard`.

Event files cannot be cut back: at each start they are written anew, from the lines of metrics that are kept.
"""

import json

from model.loggers.bridges import Line, Start, numbers
from pipeline.base import storage
from pipeline.run import layout


class Tool:
    """One folder of event files."""

    def __init__(self, start: Start) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder = storage.local_path(start.run.url(layout.TENSORBOARD))
        for earlier in folder.glob("events.out.tfevents.*"):
            earlier.unlink()
        self._writer = SummaryWriter(str(folder), max_queue=1000, flush_secs=30)
        self._writer.add_text("recipe", f"```json\n{json.dumps(start.settings, indent=1)}\n```", 0)
        for line in start.kept:
            self.write(line)

    def write(self, line: Line) -> None:
        """Takes a line of metrics; its figures are kept as doubles."""
        for name, value in numbers(line):
            self._writer.add_scalar(name, value, line["step"], new_style=True, double_precision=True)

    def flush(self) -> None:
        """Writes what is queued."""
        self._writer.flush()

    def close(self, *, finished: bool) -> None:
        """Closes the file."""
        self._writer.close()
