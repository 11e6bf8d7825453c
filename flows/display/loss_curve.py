"""The loss curve as a small SVG drawing, for a Prefect artifact: no plotting library, a few kilobytes."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

WIDTH, HEIGHT, MARGIN = 640, 320, 44
TRAIN, VALIDATION, INK, GRID = "#1f6feb", "#b35900", "#1b1f24", "#d0d7de"
MAX_POINTS = 400


def loss_curve_svg(lines: Sequence[Mapping[str, Any]]) -> str:
    """Draws training and validation loss by step from the lines of ``metrics/train.jsonl``; "" without two points."""
    train = _points(lines, "loss")
    validation = _points(lines, "validation_loss")
    if len(train) + len(validation) < 2:
        return ""
    every = train + validation
    steps = (min(x for x, _ in every), max(x for x, _ in every))
    losses = (min(y for _, y in every), max(y for _, y in every))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="sans-serif" font-size="12" role="img">',
        "<title>loss by training step</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        *_axes(steps, losses),
        *_line(train, steps, losses, TRAIN, "training loss", 20),
        *_line(validation, steps, losses, VALIDATION, "validation loss", 38),
        "</svg>",
    ]
    return "\n".join(parts)


def _points(lines: Sequence[Mapping[str, Any]], key: str) -> list[tuple[float, float]]:
    """(step, value) of the lines that carry a finite value, thinned to ``MAX_POINTS`` and the last one."""
    found = [
        (float(line["step"]), float(line[key]))
        for line in lines
        if isinstance(line.get(key), int | float) and math.isfinite(line[key])
    ]
    stride = max(1, math.ceil(len(found) / MAX_POINTS))
    return found[::stride] if not found or found[::stride][-1] == found[-1] else [*found[::stride], found[-1]]


def _place(point: tuple[float, float], steps: tuple[float, float], losses: tuple[float, float]) -> tuple[float, float]:
    across = (point[0] - steps[0]) / ((steps[1] - steps[0]) or 1.0)
    up = (point[1] - losses[0]) / ((losses[1] - losses[0]) or 1.0)
    return MARGIN + across * (WIDTH - MARGIN - 12), HEIGHT - MARGIN - up * (HEIGHT - MARGIN - 12)


def _axes(steps: tuple[float, float], losses: tuple[float, float]) -> list[str]:
    parts = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        loss = losses[0] + share * (losses[1] - losses[0])
        step = steps[0] + share * (steps[1] - steps[0])
        x, _ = _place((step, losses[0]), steps, losses)
        _, y = _place((steps[0], loss), steps, losses)
        parts.append(f'<line x1="{MARGIN}" x2="{WIDTH - 12}" y1="{y:.1f}" y2="{y:.1f}" stroke="{GRID}"/>')
        parts.append(f'<text x="{MARGIN - 6}" y="{y + 4:.1f}" text-anchor="end" fill="{INK}">{loss:.2f}</text>')
        parts.append(
            f'<text x="{x:.1f}" y="{HEIGHT - MARGIN + 18}" text-anchor="middle" fill="{INK}">{step:,.0f}</text>'
        )
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle" fill="{INK}">step</text>')
    return parts


def _line(
    points: list[tuple[float, float]],
    steps: tuple[float, float],
    losses: tuple[float, float],
    colour: str,
    name: str,
    y: int,
) -> list[str]:
    if not points:
        return []
    placed = [_place(point, steps, losses) for point in points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
    last_x, last_y = placed[-1]
    return [
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
        f'<circle cx="{last_x:.1f}" cy="{last_y:.1f}" r="3" fill="{colour}"/>',
        f'<text x="{WIDTH - 16}" y="{y}" text-anchor="end" fill="{colour}">{name}: {points[-1][1]:.4f}</text>',
    ]
