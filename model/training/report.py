"""What training says: lines for a person on standard error, or one JSON object per line for the program above it."""

import contextlib
import json
import os
import sys
import time
from typing import Any

from pipeline.base.console import say, to_nowhere

QUIET_SECONDS = 1.0


class Reporter:
    """Shows metrics and notes; silent in all processes but the leading one.

    Args:
        leads: True in the leading process.
        events: Write JSON lines to standard output instead (the flow reads them).
    """

    def __init__(self, *, leads: bool, events: bool) -> None:
        self._leads, self._events = leads, events
        self._last = 0.0

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
            with contextlib.suppress(OSError):  # nobody is there
                os.write(2, f"{text}\n".encode())

    def metrics(self, line: dict[str, Any], steps: int) -> None:
        """A line of metrics; a person sees at most one per second, and every validation."""
        self.event("metrics", line=line, steps=steps)
        now = time.monotonic()
        if self._events or ("loss" in line and now - self._last < QUIET_SECONDS and line["step"] < steps):
            return
        self._last = now
        say(progress_line(line, steps))


def progress_line(line: dict[str, Any], steps: int) -> str:
    """A line of metrics as a person reads it: loss, tokens/s, MFU where the peak is known, time left."""
    start = f"step {line['step']:,} of {steps:,}"
    if "validation_loss" in line:
        bits = line["bits_per_byte"]
        shown = "" if bits is None else f", {bits:.4f} bits per byte"
        return f"{start}: validation loss {line['validation_loss']:.4f}{shown}"
    loss = "not finite" if line["loss"] is None else f"{line['loss']:.4f}"
    left = (steps - line["step"]) * line["tokens"] / max(1, line["step"]) / max(1e-9, line["tokens_per_second"])
    parts = [f"loss {loss}", f"{line['tokens_per_second']:,.0f} tokens/s"]
    if line["mfu"] is not None:
        parts.append(f"MFU {line['mfu']:.1%}")
    if line["skipped_steps"]:
        parts.append(f"{line['skipped_steps']} skipped")
    return f"{start}: {', '.join(parts)}, {left:,.0f} s left"
