"""What training says: lines for a person on standard error, or one JSON object per line for the program above it."""

import json
import sys
import time
from typing import Any

from pipeline.base.console import say

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
            sys.stdout.write(json.dumps({"event": kind, **values}) + "\n")
            sys.stdout.flush()

    def note(self, text: str) -> None:
        """Something worth a line."""
        if self._leads:
            self.event("note", text=text)
            if not self._events:
                say(text)

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
