"""``python -m flows.cli``: the command line where no script ``tokenmill`` is installed."""

from flows.cli.app import main

main()
