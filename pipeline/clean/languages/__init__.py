"""Which language a text is in.

=============  ================================================================================================
``identify``   labels and scores of texts, by the model in the package or another fastText model
``sample``     the bounded sample of a text that a model is shown
``letters``    a text as the package's model reads it, and the scripts of its letters
``model.ftz``  the model in the package; who trains it anew: ``tests/tools/languages/``
``model.json``  its digest, and of each label the scripts it may be written in and how sure the model must be
=============  ================================================================================================
"""
