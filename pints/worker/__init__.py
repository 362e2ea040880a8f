"""The short-lived worker process: names, TLS and certificates, which the daemon never touches.

`messages` is what passes between the two and all that the daemon imports from here.
"""
