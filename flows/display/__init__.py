"""What a person types and sees.

``options``     options that several commands share
``terminal``    bars, lines and the summary at the end of a run
``answer``      how every command ends: one JSON object, or text
``tracebacks``  an unexpected error without the frames of libraries
``loading``     the loading of modules, without a search for what can go
"""
