"""Training: from a run folder with tokens to its last checkpoint.

``start``      may it run, is it done, what is recorded: ``train_run``
``trainer``    the loop
``signals``    what ends it early
``samples``    what the model writes meanwhile
``progress``   where a training is; saved as checkpoints, taken up again
``prepare``    what is read of the run, once, and the checks of what must fit
``refusals``   what a training would refuse, asked before the tokens are there; no torch
``job``        what defines a training; no torch
``optimizer``, ``schedule``, ``guards``, ``parallel``   the update: how, how fast, whether, and with whom
``metrics``, ``step_clock``, ``report``                 figures: on disk, measured, for people
"""
