"""A simulated world for the real core: virtual time, honest and evil servers, power cuts.

Nothing here waits: time jumps from event to event, so an hour takes milliseconds.  The core,
the wire format, the saved files' formats and the server's code are the real ones; TLS is
played (its outcome is a value to the core anyway).  Every world is seeded.
"""
