"""Drivers that come with pints, one file each.  Nothing here is imported before the
configuration names it; `pints.drivers` has the table and the protocols, docs/drivers.md tells
how to write another.
"""
