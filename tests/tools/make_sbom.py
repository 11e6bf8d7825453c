"""Writes what is installed: ``build/sbom.json`` (CycloneDX 1.6) and ``build/licences.md`` (`make sbom`).

Both list the packages that tokenmill needs, those that these need, and so on, as they stand in this environment; with
``--audit FOLDER`` they are looked up in advisories of the OSV format (the JSON files of PyPI's database, unpacked), and
the exit code is 1 where one is known to be vulnerable.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version

from pipeline.base.errors import parse_json

ROOT = "tokenmill"
OSI = re.compile(r"^License :: (?:OSI Approved :: )?(.+)$")


def name_of(text: str) -> str:
    """A distribution's name as the index has it."""
    return re.sub(r"[-_.]+", "-", text).lower()


def needed(root: str = ROOT) -> dict[str, metadata.Distribution]:
    """Every installed distribution that ``root`` needs, by name; extras are followed where they are asked for."""
    found: dict[str, metadata.Distribution] = {}
    waiting: list[tuple[str, frozenset[str]]] = [(name_of(root), frozenset())]
    seen = set(waiting)
    while waiting:
        name, extras = waiting.pop()
        try:
            found[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # for another system or Python
        for text in found[name].requires or ():
            asked = Requirement(text)
            marks = [{"extra": extra} for extra in (*extras, "")]
            wanted = asked.marker is None or any(asked.marker.evaluate(mark) for mark in marks)
            item = (name_of(asked.name), frozenset(asked.extras))
            if wanted and item not in seen:
                seen.add(item)
                waiting.append(item)
    return dict(sorted(found.items()))


def licence_of(distribution: metadata.Distribution) -> str:
    """The licence that a distribution states: its SPDX expression, else its classifiers, else its own words."""
    about: Any = distribution.metadata  # its type lacks `get`, which it has
    if expression := about.get("License-Expression"):
        return str(expression)
    classified = [found[1] for text in about.get_all("Classifier") or () if (found := OSI.match(text))]
    words = str(about.get("License") or "").strip().splitlines()
    return ", ".join(classified) or (words[0] if words and len(words[0]) < 80 else "see its LICENSE file")


def bill(distributions: dict[str, metadata.Distribution]) -> dict[str, Any]:
    """The bill of materials."""
    components = [
        {
            "type": "library",
            "name": name,
            "version": distribution.version,
            "purl": f"pkg:pypi/{name}@{distribution.version}",
            "licenses": [{"license": {"name": licence_of(distribution)}}],
        }
        for name, distribution in distributions.items()
        if name != ROOT
    ]
    about = {"component": {"type": "application", "name": ROOT, "version": distributions[ROOT].version}}
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "metadata": about, "components": components}


def licences(distributions: dict[str, metadata.Distribution]) -> str:
    """The packages with their licences, as a table."""
    rows = [f"| {name} | {found.version} | {licence_of(found)} |" for name, found in distributions.items()]
    head = ["# Licences of what tokenmill needs", "", "| package | version | licence |", "|---|---|---|"]
    return "\n".join([*head, *rows, ""])


def advisories(folder: Path, versions: dict[str, str]) -> Iterator[str]:
    """A line for each advisory that is of one of these versions."""
    for path in sorted(folder.rglob("*.json")):
        advisory = _advisory(path)
        for affected in advisory.get("affected", ()):
            package = affected.get("package", {})
            name = name_of(package.get("name", ""))
            if package.get("ecosystem") != "PyPI" or name not in versions or "withdrawn" in advisory:
                continue
            if versions[name] in affected.get("versions", ()) or _in_ranges(versions[name], affected.get("ranges", ())):
                yield f"{name} {versions[name]}: {advisory['id']}: {advisory.get('summary', 'no summary')}"


def _advisory(path: Path) -> dict[str, Any]:
    try:
        found = parse_json(path.read_text("utf-8"))
    except ValueError as error:
        raise SystemExit(f"{path}: not the JSON of an advisory ({error}); unpack the database anew") from error
    if not isinstance(found, dict):
        raise SystemExit(f"{path}: not an advisory, which is an object; leave only PyPI's database in the folder")
    return found


def _in_ranges(version: str, ranges: Iterable[dict[str, Any]]) -> bool:
    """Whether a version lies in one of the ranges; events stand in the order of versions."""
    for found in ranges:
        inside = False
        for event in found.get("events", ()) if found.get("type") == "ECOSYSTEM" else ():
            try:
                inside = _after(version, event, inside)
            except InvalidVersion:
                continue
        if inside:
            return True
    return False


def _after(version: str, event: dict[str, str], inside: bool) -> bool:
    """Whether a version is affected, from what is known after one more event."""
    if "introduced" in event:
        return inside or event["introduced"] == "0" or Version(version) >= Version(event["introduced"])
    if "fixed" in event:
        return inside and Version(version) < Version(event["fixed"])
    if "last_affected" in event:
        return inside and Version(version) <= Version(event["last_affected"])
    return inside


def main(arguments: list[str]) -> int:
    """Writes both files, and asks the advisories where there are any."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--audit", type=Path, default=None)
    options = parser.parse_args(arguments)
    distributions = needed()
    if options.audit is None:
        options.folder.mkdir(parents=True, exist_ok=True)
        (options.folder / "sbom.json").write_text(json.dumps(bill(distributions), indent=1) + "\n", encoding="utf-8")
        (options.folder / "licences.md").write_text(licences(distributions), encoding="utf-8")
        sys.stdout.write(f"{len(distributions) - 1} packages: sbom.json and licences.md in {options.folder}\n")
        return 0
    if next(options.audit.rglob("*.json"), None) is None:
        sys.stdout.write(
            f"{options.audit}: no database of advisories; unpack PyPI's from https://osv.dev (all.zip) there\n"
        )
        return 0
    # a local version ("2.9.1+cpu") is a build of the public one, which advisories name
    versions = {name: one.version.partition("+")[0] for name, one in distributions.items()}
    found = list(advisories(options.audit, versions))
    sys.stdout.write("\n".join([*found, f"{len(distributions)} packages, {len(found)} advisories"]) + "\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
