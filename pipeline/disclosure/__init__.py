"""The EU's public summary of training content (Article 53(1)(d) of the AI Act), filled from a run's lineage.

1. ``facts``     what was trained on: tokens, languages, web domains, crawl months, exclusions
2. ``answers``   what only a person can say, from a file of theirs
3. ``general``, ``sources``, ``processing``   the template's three sections, as ``page`` has them
4. ``markdown``, ``html``, ``docx``           that page as a file
"""
