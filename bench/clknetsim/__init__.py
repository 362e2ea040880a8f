"""Clocks of two programs in clknetsim: simulated crystals, networks and servers.

`*.conf` are the worlds, in clknetsim's own language.  Node 1 is the client, nodes 2 to 4 are its
servers; clknetsim ignores lines about nodes that a run does not have.
"""
