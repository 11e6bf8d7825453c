"""The commands by name, in the groups and the order of ``tokenmill --help``.

A command is registered by where it stands and imported when it is called, so that ``--help`` is quick and ``train``
never loads Prefect.
"""

from importlib import import_module
from typing import Any, Literal

from flows.cli.help_lines import unfold_help
from flows.display.answer import answer
from flows.display.loading import loading
from flows.display.options import Json
from pipeline import __version__

Command = tuple[str, str]  # "module:name", and a line of summary
GROUPS: dict[str, dict[str, Command]] = {
    "From your files to a model": {
        "run": ("flows.cli.run:run", "Run a recipe: raw files in, token shards, a checkpoint and a report out."),
        "init": ("flows.cli.files.init:init", "Look at a folder of your own, and write a commented recipe for it."),
        "train": ("flows.cli.model:train", "Train the model of a recipe on the token shards of a run."),
    },
    "The model": {
        "sample": ("flows.cli.model:sample", "Write text with a run's checkpoint."),
        "eval": ("flows.cli.model:evaluate", "Validation loss and bits per byte of a run's checkpoint."),
        "export": ("flows.cli.model:export", "Write a checkpoint as a folder that transformers and vLLM load."),
    },
    "What a run holds": {
        "status": ("flows.cli.run:status", "Show each stage of a run: shards, records, bytes, seconds, state."),
        "report": ("flows.cli.questions.inspect:report", "Write report/index.html of a run."),
        "inspect": (
            "flows.cli.questions.inspect:inspect",
            "Show schema, counts and rows of a table, or what a run folder holds.",
        ),
        "verify": ("flows.cli.run:verify", "Re-read every output of a run against its checksum."),
        "clean-up": (
            "flows.cli.run:clean_up",
            "Remove what a run keeps of its past: old checkpoints, scratch, records.",
        ),
    },
    "Its documents": {
        "explain": (
            "flows.cli.questions.lineage:explain_document",
            "Everything about one document and the steps that trained on it.",
        ),
        "filter": (
            "flows.cli.questions.filter:filter_run",
            "What-if: the funnel under other thresholds, from the stored signals.",
        ),
        "documents": (
            "flows.cli.questions.documents:documents_app",
            "Take documents out of a run: Parquet, JSON Lines, Arrow, a Hugging Face folder.",
        ),
        "trace": (
            "flows.cli.questions.lineage:trace_steps",
            "Documents, sources and licences in the global batch of a step.",
        ),
        "licences": (
            "flows.cli.questions.lineage:count_licences",
            "Tokens by licence and source in what was trained on.",
        ),
        "rights": (
            "flows.cli.questions.lineage:count_rights",
            "Documents and tokens by opt-out, robot and licence: what heeding them costs.",
        ),
        "disclose": (
            "flows.cli.questions.disclose:disclose",
            "The EU's public summary of training content, filled from a run.",
        ),
        "takedown": ("flows.cli.questions.lineage:takedown", "Take documents out of every table and shard of a run."),
        "decontaminate": (
            "flows.cli.questions.filter:decontaminate",
            "Documents and token ranges an evaluation set touches.",
        ),
    },
    "Your own files, without a run": {
        "extract": ("flows.cli.files.extract:extract", "The main text of one web page, and what it says about itself."),
        "dedup": (
            "flows.cli.files.dedup:dedup_app",
            "Deduplicate your own files, of any format that is read; plan, compare.",
        ),
        "classifier": ("flows.cli.questions.filter:classifier_app", "Train a fastText quality classifier."),
        "tokens": ("flows.cli.tokens:tokens_app", "Token shards to and from Megatron's and nanoGPT's files."),
    },
    "Before spending": {
        "plan": ("flows.cli.model:plan", "Parameters, FLOPs, tokens, memory, hours and cost of a training."),
        "ablate": ("flows.cli.compare:ablate", "Train the same small model on each variant: did this filter help?"),
        "bench": ("flows.cli.compare:bench", "Time tokenmill against installed peers, side by side."),
    },
    "This machine": {
        "doctor": ("flows.cli.doctor:doctor", "Check this environment and say what to do."),
        "completion": ("flows.cli.commands:completion", "Print what makes a shell complete commands and options."),
    },
}
COMMANDS = {name: command for commands in GROUPS.values() for name, command in commands.items()}


def build_app(arguments: list[str]) -> Any:
    """The cyclopts application; commands load when they are called.

    The one-line summaries serve the list of commands, which must not import them all; a command's own ``--help`` comes
    from its docstring.
    """
    called = next((argument for argument in arguments if argument in COMMANDS), None)
    with loading():
        from cyclopts import App, Group

        if called:
            import_module(COMMANDS[called][0].partition(":")[0])
    app = App(
        name="tokenmill",
        version=__version__,
        version_flags=["--version", "-V"],
        help="Raw text to a pre-trained language model: one recipe, one command, one run folder.",
        help_format="plaintext",
        result_action="return_value",
        exit_on_error=False,
        print_error=False,
        suppress_keyboard_interrupt=False,  # we say how to go on
    )
    for place, (title, commands) in enumerate(GROUPS.items()):
        group = Group(title, sort_key=place)
        for order, (name, (target, summary)) in enumerate(commands.items()):
            told = {} if name == called else {"help": summary}
            app.command(target, name=name, group=group, sort_key=order, **told)
    app["--help"].group = app["--version"].group = Group("Help", sort_key=len(GROUPS))
    if called:
        unfold_help(app[called])
    return app


def completion(shell: Literal["bash", "zsh", "fish"], *, json: Json = False) -> int:
    """Print the script that makes a shell complete commands, options, their choices, and paths.

    Write it where the shell looks (the folder must be there): for bash as a file tokenmill in
    ~/.local/share/bash-completion/completions, for fish as tokenmill.fish in ~/.config/fish/completions, for zsh as
    _tokenmill in a folder of $fpath. For this shell alone: source <(tokenmill completion bash)

    Example: tokenmill completion bash > ~/.local/share/bash-completion/completions/tokenmill

    Parameters
    ----------
    shell
        bash | zsh | fish.
    """
    from flows.cli.completion import script

    made = script(build_app([]), shell)
    return answer(json, {"shell": shell, "script": made}, made.rstrip("\n"))
