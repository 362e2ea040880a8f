"""From "no idea" to "verified": evidence, rules and the trust state machine.  docs/trust.md
tells what is promised; every rule R1..R9 is named where it is enforced.  Pure.
"""
