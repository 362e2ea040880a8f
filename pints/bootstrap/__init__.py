"""From "no idea" to "verified": rules, quorum and the trust state machine.  Pure.

docs/trust.md tells what is promised; every rule is named where it is enforced.
"""
