"""The client's side of the protocols: one association per source, its keys and its cookies.

Pure: bytes and readings come in as arguments, packets go out as values.
"""
