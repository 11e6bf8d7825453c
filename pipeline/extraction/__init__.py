"""The text of a web page by our own extractor: blocks, trees that judge them, rules for regions, and the writing.

- ``page_tree``  HTML to elements, blocks and their features (kernels ``html_blocks``, ``html_features``)
- ``model``      the trees of model.npz; what they were trained on is in MODEL.md
- ``choice``     which blocks are the text; the page's type, and how good its text is likely to be
- ``shapes``     what the chosen blocks are: paragraphs, lists, tables, code
- ``posts``      where the posts of a thread begin
- ``inline``, ``formulas``  the text within a block
- ``writing``    plain text or Markdown
- ``extractor``  all of it, for one page
"""
