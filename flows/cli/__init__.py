"""The command line: one module per group of commands, each thin; it reads options, calls a room below, and answers.

``app``             exit codes, errors, signals
``commands``        the commands by name, in the groups of the help; completion
``mistakes``        mistakes in a command line, in our words
``completion``      what shells need to complete them
``run``             run, status, verify, clean-up
``tokens``          tokens export, import
``model``           train, eval, sample, export, plan
``compare``         ablate, bench
``doctor``          doctor
``quick_start``     a quicker start of dedup run and report
``reference``       writes docs/cli.md
``files``           commands on the user's own files
``questions``       commands that ask a finished run
"""
