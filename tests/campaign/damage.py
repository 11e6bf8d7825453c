"""One damaged file of a finished run: what the commands say of it, and whether what `verify` advises heals it.

What must be true: no command ends without a sentence that names a file; `verify` names every damaged file that it
answers for; after exactly what it advises every promised byte is there again, and it finds nothing more.
"""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from flows.session.stages import plan, run_stage, working_context
from model.training.start import train_run
from pipeline.base.pool import InProcess
from pipeline.recipe.load import load_recipe
from pipeline.run import layout
from pipeline.run.folder import Run
from pipeline.run.stages import chosen_stages
from tests.campaign import child
from tests.campaign.scenarios import OUTSIDE, Scenario, command
from tests.campaign.trials import Trial
from tests.trees import tree

QUESTIONS = {
    "status": ("status", "{run}"),
    "status --disk": ("status", "{run}", "--disk"),
    "inspect": ("inspect", "{run}"),
    "inspect FILE": ("inspect", "{file}"),
    "explain": ("explain", "{run}", "{doc}"),
    "trace": ("trace", "{run}", "--step", "2"),
    "licences": ("licences", "{run}"),
    "disclose": ("disclose", "{run}", "--output", "{out}/summary.md"),
    "filter": ("filter", "{run}", "--set", "filter.gopher_quality.min_words=20"),
    "documents export": ("documents", "export", "{run}", "--output", "{out}/documents", "--overwrite"),
    "sample": ("sample", "{run}", "--prompt", "The mill", "--tokens", "4"),
    "eval": ("eval", "{run}"),
    "export": ("export", "{run}", "--output", "{out}/model", "--overwrite"),
    "report": ("report", "{run}"),
    "takedown": ("takedown", "{run}", "--ids", "{doc}", "--dry-run"),
    "clean-up": ("clean-up", "{run}", "--dry-run"),
}
HOW: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "empty": lambda data, _: b"",
    "cut": lambda data, chance: data[: chance.randrange(max(1, len(data)))],
    "zeros": lambda data, _: bytes(len(data)),
    "other bytes": lambda data, chance: chance.randbytes(len(data)),
    "flipped bit": lambda data, chance: _flipped(data, chance),
    "block of zeros": lambda data, chance: _zeroed(data, chance),
    "longer": lambda data, chance: data + chance.randbytes(7),
    "nested": lambda data, _: b"[" * 100_000,
    "a list": lambda data, _: b"[]\n",
    "an object": lambda data, _: b"{}\n",
}
UNANSWERED = (layout.LOGS, layout.METRICS)  # of which `verify` names what cannot be read, and no other change


def _flipped(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data or b"\0")
    changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _zeroed(data: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(max(1, len(data)))
    return data[:start] + bytes(min(512, len(data) - start)) + data[start + 512 :]


def damage(finished: Scenario, place: Path, chance: random.Random) -> Trial:
    """Damages a file of the finished run of ``finished``'s beginning."""
    finished.begin(place)
    root = place / "run"
    before = tree(root, *OUTSIDE)
    path, how = _damaged(root, chance)
    name = path.relative_to(root).as_posix()
    trial = Trial(how, name, [name])
    asked = chance.sample(sorted(QUESTIONS), 2)
    trial.ended = f"asked: {', '.join(asked)}"
    for question in asked:
        words = [word.replace("{file}", str(path)) for word in QUESTIONS[question]]
        ended = child.run(lambda words=words: command(*words)(place, False))  # type: ignore[misc]
        trial.complaints += [f"{question}: {complaint}" for complaint in ended.complaints(place)]
        if ended.killed:
            trial.complaints.append(f"{question}: ended by signal {-ended.code}: {ended.said[-800:]}")
    answered = name != layout.RECIPE and not name.startswith((*UNANSWERED, "."))
    if answered and (not path.exists() or path.read_bytes() != (finished.base / "run" / name).read_bytes()):
        _heal(trial, finished, root, name, before)
    return trial


def _damaged(root: Path, chance: random.Random) -> tuple[Path, str]:
    """Damages a file: first a folder is chosen, so that small ones have their share."""
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and ".prefect" not in path.parts]
    folders = sorted({path.relative_to(root).parts[0] for path in files})
    folder = chance.choice(folders)
    path = chance.choice([path for path in files if path.relative_to(root).parts[0] == folder])
    how = chance.choice([*HOW, "gone", "of a sibling"])
    if how == "gone":
        path.unlink()
    elif how == "of a sibling":
        sibling = chance.choice([other for other in files if other.suffix == path.suffix and other != path] or [path])
        shutil.copyfile(sibling, path) if sibling != path else path.write_bytes(b"")
    else:
        path.write_bytes(HOW[how](path.read_bytes(), chance))
    return path, how


def _heal(trial: Trial, finished: Scenario, root: Path, name: str, before: dict[str, bytes]) -> None:
    """Does what `verify` advises, and asks whether everything is as it was."""
    found = child.run(lambda: command("verify", "{run}", "--json")(root.parent, False))
    if complaints := found.complaints(root.parent) if "{" not in found.said else []:
        trial.complaints += [f"verify: {complaint}" for complaint in complaints]
        return
    lines = [line for line in found.said.splitlines() if line.startswith('{"')]
    if not lines:
        trial.complaints.append(f"verify gives no answer: {found.code} {found.said[-800:]}")
        return
    damaged = {entry["path"]: entry for entry in json.loads(lines[-1])["damaged"]}
    if name not in damaged:
        trial.complaints.append(f"verify does not name it, but {sorted(damaged)}")
        return
    if damaged[name]["cure"].startswith("copy "):
        shutil.copyfile(root / damaged[name]["cure"].split()[1], root / name)
    elif damaged[name]["cure"].startswith(("bring it back", "delete")):
        shutil.copyfile(finished.base / "run" / name, root / name)
    if "to rebuild: " not in found.said:
        trial.complaints.append(f"verify says no remedy: {found.said[-600:]}")
        return
    advice = found.said.partition("to rebuild: ")[2].splitlines()[0]
    if "--delete" in advice:
        child.run(lambda: command("verify", "{run}", "--delete")(root.parent, False))
    again = child.run(lambda: rerun(root, advice))
    if again.code != 0:
        trial.complaints.append(f"`{advice}` ended with {again.code}: {again.said[-1200:]}")
        return
    after = tree(root, *OUTSIDE)
    wrong = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    if wrong and "which nothing makes again" not in damaged[name]["problem"]:
        trial.complaints.append(f"other bytes after `{advice}`: {', '.join(wrong[:5])}; {again.said[-1500:]}")
    last = child.run(lambda: command("verify", "{run}")(root.parent, False))
    if last.code != 0:
        trial.complaints.append(f"verify, after `{advice}`, still says: {last.said[-800:]}")


def rerun(root: Path, advice: str = "") -> None:
    """``tokenmill run RUN/recipe.toml --root RUN [--stages ...]`` as the flow does it, without Prefect."""
    run = Run(str(root), load_recipe(root / layout.RECIPE))
    stages = advice.partition("--stages ")[2].split(",") if "--stages " in advice else None
    chosen = chosen_stages(run, stages)
    plan(run, chosen)
    with run.lock():
        run.write_recipe()
        for stage in chosen:
            if stage == "train":
                train_run(run)
            else:
                run_stage(stage, working_context(run, InProcess()))
