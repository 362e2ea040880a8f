"""Plain data that several packages share: samples, chains, evidence, beliefs, the worker's tasks.

Pure, and below everything that computes with it: nothing here imports a package above.
"""
