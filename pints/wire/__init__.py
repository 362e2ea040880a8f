"""Bytes to values and back: NTP, its extension fields, NTS and NTS-KE.  Nothing else.

Every parser here takes any bytes at all and either returns values or raises `WireError`.
"""
