"""Files that programs put beside texts and that nobody wrote to be read: told by their names, whatever is in them.

Lock files of package managers and source maps are never text.  Style sheets and scripts are what pages carry with them,
unless the folder is source code.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pipeline.base.words import counted, listed
from pipeline.readers.parts.inputs import InputFile

CODE_ENDINGS = frozenset(re.findall(r"\w+", "c cc cpp cs go h hpp java jl js kt lua php pl py r rb rs sh ts"))
CODE_SHARE = 0.3  # of the files that are read: then they are source code
ASSETS = frozenset({"css", "js", "mjs"})
MOST_SHOWN = 5
LOCK_FILES = frozenset(
    re.findall(
        r"\S+",
        """
        package-lock.json npm-shrinkwrap.json yarn.lock pnpm-lock.yaml bun.lock deno.lock poetry.lock Pipfile.lock
        pdm.lock uv.lock pixi.lock pylock.toml conda-lock.yml Cargo.lock composer.lock symfony.lock Gemfile.lock
        go.sum go.work.sum mix.lock rebar.lock pubspec.lock Podfile.lock Cartfile.resolved Package.resolved
        packages.lock.json gradle.lockfile buildscript-gradle.lockfile flake.lock Chart.lock renv.lock
        shard.lock stack.yaml.lock cabal.project.freeze conan.lock vcpkg-lock.json MODULE.bazel.lock
        """,
    )
)
_SOURCE_MAP = re.compile(r"\.(css|js|mjs|cjs|ts|wasm)\.map$")


@dataclass(frozen=True)
class LeftOut:
    """Files of one kind, globs that name them and no others, and how that is said."""

    paths: frozenset[str]
    globs: tuple[str, ...]
    told: str


def not_written(files: Sequence[InputFile], pages: int) -> list[LeftOut]:
    """What is left out of files that could be read.

    Args:
        files: All that have a format.
        pages: How many of them are HTML.
    """
    kinds: list[tuple[Callable[[str], bool], Callable[[str], str], str]] = [
        (lambda path: name_of(path) in LOCK_FILES, name_of, "lock file"),
        (lambda path: _SOURCE_MAP.search(path) is not None, lambda path: f"**/*{_ending_of_map(path)}", "source map"),
    ]
    if pages and not are_source_code(files):
        kinds.append((_is_asset, lambda path: f"**/*.{ending_of(path)}", "style sheet or script"))
    return list(_by_kind(files, kinds))


def _by_kind(
    files: Sequence[InputFile], kinds: Sequence[tuple[Callable[[str], bool], Callable[[str], str], str]]
) -> Iterator[LeftOut]:
    for belongs, glob, noun in kinds:
        paths = frozenset(file.path for file in files if belongs(file.path))
        if paths:
            globs = tuple(sorted({glob(path) for path in paths}))
            plural = "style sheets and scripts of the pages" if noun.startswith("style") else f"{noun}s"
            shown = listed([glob.removeprefix("**/*") for glob in globs], MOST_SHOWN)
            yield LeftOut(paths, globs, f"{counted(len(paths), noun, plural)} left out: {shown}")


def are_source_code(files: Sequence[InputFile]) -> bool:
    """Whether so many of the files are source code that all of them are taken for that."""
    code = sum(ending_of(file.path).lower() in CODE_ENDINGS for file in files)
    return code > CODE_SHARE * max(1, len(files))


def name_of(path: str) -> str:
    """A file's name without its folders."""
    return path.rsplit("/", 1)[-1]


def ending_of(path: str) -> str:
    """What stands after the last dot of a file's name."""
    return name_of(path).rpartition(".")[2]


def _ending_of_map(path: str) -> str:
    found = _SOURCE_MAP.search(path)
    return found.group() if found else ""


def _is_asset(path: str) -> bool:
    return "." in name_of(path) and ending_of(path) in ASSETS
