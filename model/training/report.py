"""What training says: lines for a person on standard error, or one JSON object per line for the program above it."""

import json
import sys
import time
from dataclasses import asdict
from typing import Any

from pipeline.base.console import say, say_at_once, to_nowhere
from pipeline.base.progress import Moment, watcher
from pipeline.base.words import duration

QUIET_SECONDS, MOST_QUIET_SECONDS = 1.0, 60.0  # between two lines of metrics
QUIET_SHARE = 0.01  # or a hundredth of the time so far, if that lies between them


class Reporter:
    """Shows metrics and notes; silent in all processes but the leading one.

    Args:
        leads: True in the leading process.
        events: Write JSON lines to standard output instead (the flow reads them).
    """

    def __init__(self, *, leads: bool, events: bool) -> None:
        self._leads, self._events = leads, events
        self._last, self._began = 0.0, time.monotonic()

    def event(self, kind: str, **values: Any) -> None:
        """One JSON line; nothing when a person watches."""
        if self._events:
            try:
                sys.stdout.write(json.dumps({"event": kind, **values}) + "\n")
                sys.stdout.flush()
            except BrokenPipeError:  # the program above us has gone; we are about to save a checkpoint and end
                to_nowhere(1)

    def note(self, text: str) -> None:
        """Something worth a line."""
        if self._leads:
            self.event("note", text=text)
            if not self._events:
                say(text)

    def from_handler(self, text: str) -> None:
        """A line for a person from the handler of a signal, which may have come in the middle of another line."""
        if self._leads and not self._events:
            say_at_once(text)

    def moment(self, moment: Moment) -> None:
        """Where the training stands, told a few times a second."""
        if self._events:
            self.event("moment", **asdict(moment))
        elif self._leads:
            watcher().show(moment)

    def metrics(self, line: dict[str, Any], steps: int, left: float | None) -> None:
        """A line of metrics; a person sees every validation, and of the others one a second, later fewer.

        Args:
            line: As it is recorded.
            steps: Of the whole training.
            left: Seconds that it still takes, as far as they can be told.
        """
        self.event("metrics", line=line, steps=steps)
        now = time.monotonic()
        quiet = min(MOST_QUIET_SECONDS, max(QUIET_SECONDS, QUIET_SHARE * (now - self._began)))
        if self._events or ("loss" in line and now - self._last < quiet and line["step"] < steps):
            return
        self._last = now
        say(progress_line(line, steps, left))


def progress_line(line: dict[str, Any], steps: int, left: float | None = None) -> str:
    """A line of metrics as a person reads it: loss, tokens/s, MFU where the peak is known, time left if it is given."""
    start = f"step {line['step']:,} of {steps:,}"
    if "validation_loss" in line:
        bits = line["bits_per_byte"]
        shown = "" if bits is None else f", {bits:.4f} bits per byte"
        loss = line["validation_loss"]
        return f"{start}: validation loss {'not finite' if loss is None else f'{loss:.4f}'}{shown}"
    loss = "not finite" if line["loss"] is None else f"{line['loss']:.4f}"
    parts = [f"loss {loss}", f"{line['tokens_per_second']:,.0f} tokens/s"]
    if line["mfu"] is not None:
        parts.append(f"MFU {line['mfu']:.1%}")
    if line["skipped_steps"]:
        parts.append(f"{line['skipped_steps']} skipped")
    if left is not None and left >= 1.0:
        parts.append(f"{duration(left)} left")
    return f"{start}: {', '.join(parts)}"
