"""The command line: one module per group of commands, each thin; it reads options, calls a room below, and answers.

``app``             the commands by name, exit codes, errors
``options``         options that several commands share
``init``            init
``run``             run, status, verify, clean-up
``inspect``         inspect, report
``dedup``           dedup run, plan, compare
``index``           dedup index build, add, query, remove, verify
``filter``          filter, classifier, decontaminate
``tokens``          tokens export, import
``model``           train, eval, sample, export, plan
``lineage``         explain, trace, licences, takedown
``compare``         ablate, bench
``doctor``          doctor
``without_pandas``  a quicker start of dedup run
``reference``       writes docs/cli.md
"""
