"""What receivers send over a serial line, and what it means.  Pure: bytes and readings go in,
reports come out.

`nmea` and `ubx` decode one sentence and one message, `stream` cuts a line's bytes into these,
`epochs` makes fixes of what they say together.  The driver `gps` is the port.
"""
