"""The short-lived worker process: names, TLS and certificates, which the daemon never touches.

What passes between the two is in `pints.values.worker_tasks`.
"""
