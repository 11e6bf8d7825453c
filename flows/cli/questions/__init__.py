"""Commands that ask a finished run.

``inspect``    inspect, report
``documents``  documents export
``filter``     filter, classifier, decontaminate; ``funnel`` is what filter tells
``lineage``    explain, trace, licences, takedown
"""
