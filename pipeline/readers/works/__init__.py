"""Files that people write and send: each becomes the text that a reader of it would see.

``papers`` above makes records of them.

1. ``package``   a ZIP file of the parts of one work
2. ``office``    Word (docx) and OpenDocument (odt) texts
3. ``books``     EPUB: one page of HTML per chapter
4. ``mail``      one message
5. ``notebook``  Jupyter notebooks
6. ``pdf``       the text layer of PDF files
"""
