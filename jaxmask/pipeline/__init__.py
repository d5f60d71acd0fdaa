"""The steps of an experiment as functions of values: prepare, search, measure, summarise.

Scripts, the console command and research code call the same functions; nothing here reads options
or writes to a terminal.
"""
