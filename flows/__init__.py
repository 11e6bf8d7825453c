"""Prefect flows over the stages, and the command line.  The only place that imports Prefect.

``end_to_end``  curate, pretrain, and end_to_end over both
``alone``       dedup, evaluate and ablate: one command each, as a flow
``nightly``     each night's crawl as a run of its own

``cli``         the command line
``session``     what the flows of one run share
``server``      workarounds of Prefect 3.8.8
``display``     what a person sees

prefect.yaml, and deployments of users, name the flows by file and function: these do not move.
"""
