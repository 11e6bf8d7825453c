"""``tokenmill completion``: the script by which a shell completes commands, options, choices and paths.

cyclopts writes the scripts; what is added here are paths, which it offers only where a parameter has the type of one.
"""

import re
from typing import Literal

from cyclopts import App

ZSH_POSITIONAL = re.compile(r"^( +'(?:\d+|\*):(?:[^:'\\]|\\.|'\\'')*)' \\$", re.MULTILINE)

# zsh takes a file of $fpath for the body of a function of the file's name: what it only defines is not called
ZSH_CALL = """
if [[ $funcstack[1] == _tokenmill ]]; then
  _cyclopts_tokenmill "$@"
else
  compdef _cyclopts_tokenmill tokenmill
fi
"""


def script(app: App, shell: Literal["bash", "zsh", "fish"]) -> str:
    """The script of a shell for all commands of ``app``."""
    made = app.generate_completion(prog_name="tokenmill", shell=shell)
    if shell == "bash":  # where nothing else fits, readline completes paths
        return made.replace("complete -F ", "complete -o bashdefault -o default -F ")
    return ZSH_POSITIONAL.sub(r"\1:_files' \\", made) + ZSH_CALL if shell == "zsh" else made
