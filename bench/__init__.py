"""Benchmarks: `make bench`, or `python -m bench NAME...`.

Each module below measures one thing and prints a table.  Both sides of every ratio are
measured in the same run, in turn, so that the machine's mood hits both; what is printed is
the median of several runs, with the least and the most.  None is a test: the time that
anything takes here fails nothing.
"""
