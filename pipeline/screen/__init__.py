"""What a person sees while a command works.

``line``      the last line of a terminal, which says where the work stands; elsewhere a line now and then
``wording``   the words of that line, as many as there is room for
``kind_words``  the words for kinds of files
"""
