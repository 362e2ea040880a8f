"""The Debian package on a Debian 13: built, installed over others, upgraded, removed, purged.

`make test-package`.  Everything real but the service manager, which a tree that is not booted
lacks: what the packages tell it is written down instead.
"""
