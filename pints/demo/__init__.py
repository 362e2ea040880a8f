"""`pints demo`: the whole story on any computer in seconds.  No root, no network.

Real daemons, real TLS, real NTS packets over loopback; only time is played: a clock that all
of them share and that can skip an hour, and on the device a software clock in place of the
kernel's.
"""
