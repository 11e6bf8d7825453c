"""The program: ``python -m tests.campaign.run --minutes 10`` (``make campaign MINUTES=10``).

    python -m tests.campaign.run --minutes 10 --first 0                    all kinds in turn
    python -m tests.campaign.run --what faults --count 500                 one kind, so many trials
    python -m tests.campaign.run --what kills --first 4711 --count 1       one trial again

Trial N of a kind is a function of N.  Prints each trial that shows something wrong, and a table at the end; with
``--json FILE`` every trial is written down.  Exit code 1 where there is anything wrong.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from tests.campaign import shim as shims

ROOM = 4  # trials of a kind in turn


def main() -> int:
    """Runs the campaign; under the preloaded library from the start."""
    options = _options()
    if shims.VARIABLE not in os.environ:
        folder = Path(tempfile.mkdtemp(prefix="campaign-"))
        threads = dict.fromkeys(("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
        os.environ.update(shims.build(folder) | threads | {"TOKENIZERS_PARALLELISM": "false"})
        os.execv(sys.executable, [sys.executable, "-m", "tests.campaign.run", *sys.argv[1:]])
    from tests.campaign.campaign import Campaign

    with tempfile.TemporaryDirectory(prefix="campaign-") as folder_name:
        campaign = Campaign(Path(folder_name), options.only)
        return _rounds(options, campaign.kinds())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=None, help="trials of each kind; by default what the time allows")
    parser.add_argument("--what", default="kills,faults,damage,disks,pairs,clocks,takedowns,answers,servers")
    parser.add_argument("--only", default="", help="scenarios, separated by commas")
    parser.add_argument("--json", type=Path, default=None)
    return parser.parse_args()


def _rounds(options: argparse.Namespace, kinds: dict[str, Callable[[random.Random], object]]) -> int:
    ends = time.monotonic() + 60 * options.minutes
    wanted = options.what.split(",")
    tried, wrong, hits, rows = Counter[str](), Counter[str](), Counter[str](), []
    number = options.first
    while time.monotonic() < ends and (options.count is None or number < options.first + options.count):
        for kind in wanted:
            trial = kinds[kind](random.Random(f"{kind} {number}"))
            values = asdict(trial)  # type: ignore[call-overload]
            tried[kind] += 1
            hits[kind] += bool(values["hit"])
            rows.append({"kind": kind, "number": number, **values})
            if values["complaints"]:
                wrong[kind] += 1
                sys.stdout.write(f"{kind} {number}: {json.dumps(values, indent=1)}\n")
                sys.stdout.flush()
            if options.json:
                options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")
        number += 1
    for kind in wanted:
        sys.stdout.write(f"{kind:9} {tried[kind]:6,} tried, {hits[kind]:6,} hit, {wrong[kind]:4,} wrong\n")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
