"""The hands of the daemon: clocks, sockets, the poll loop, devices, the worker's parent."""
