"""From samples to the clock's rate: filter, select, combine, poll, steer.

Pure, and free of the system clock: everything is measured on the raw crystal, so what was
measured stays true whatever was done to the clock meanwhile.
"""
