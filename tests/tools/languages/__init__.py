"""How the language model of the package is made: from text and word counts that packages carry.

    python -m tests.tools.languages.train FOLDER      # pools of words, lines of them, fastText: 6 minutes of a core
    python -m tests.tools.languages.calibrate FOLDER  # the scripts and thresholds of the labels: 10 seconds

FOLDER holds packages as their clients leave them, all of one distribution of Debian (12):

- ``pip download --no-deps lingua-language-detector==1.3.5 langidentify-full-model==1.0.0 wordfreq==3.1.1
  babel==2.19.0``
- ``apt-get download mediawiki manpages $(apt-cache pkgnames firefox-esr-l10n-) $(apt-cache pkgnames manpages-)``

======================  =======================================================================================
``sources``             the packages read: words with their frequencies, and lines of text, by language
``word_model``          words of a language after lingua's tables of n-grams
``invented``            languages that do not exist, for the reject class
``corpus``              pools of words and lines per language and source, and training lines mixed of them
``train``               fastText on the lines, compressed; one thread and a fixed seed, so that it is the same again
``calibrate``           thresholds and scripts of the labels, on what was not trained on
======================  =======================================================================================

fastText sees a bag of words and of their n-grams, so words drawn by their frequency teach it as much as running text.
No text of the suites of ``tests/conformance/facts/`` is among the sources.
"""
