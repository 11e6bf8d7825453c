"""What a page says about itself, one module a fact; pipeline/clean/html_facts.py asks them all.

``tags``          attributes and texts of tags, and whether a place in a page is one that counts
``surroundings``  in which elements a place stands, and whether a licence there is the page's own
``json_ld``       JSON-LD of a page's main entity
``titles``        the title, without the site's name
``dates``         the day of publication, and where it stands
``licences``      the licence of the text
``opt_outs``      marks that reserve a page: meta tags, headers, TDMRep, AIPREF
``robots``        what a site says of all of its pages (``site_files``: out of a folder)
"""
