"""Commands that ask a finished run.

``inspect``  inspect, report
``filter``   filter, classifier, decontaminate
``lineage``  explain, trace, licences, takedown
"""
