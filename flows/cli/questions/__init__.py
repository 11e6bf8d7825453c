"""Commands that ask a finished run.

``inspect``    inspect, report
``documents``  documents export
``filter``     filter, classifier, decontaminate
``lineage``    explain, trace, licences, takedown
"""
