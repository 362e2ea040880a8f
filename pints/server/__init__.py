"""Giving time to others: the NTP server, which is part of the daemon, and the NTS-KE server, a
process of its own.
"""
