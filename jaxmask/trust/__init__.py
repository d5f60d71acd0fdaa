"""What a sceptical reader asks of a found set, measured: thirteen measures and their controls.

Each measure is a function of values that gives a `jaxmask.trust.measure.Measure`; all of them
together are `jaxmask.trust.assess.assess`. Nothing here reads options or writes to a terminal.
"""
