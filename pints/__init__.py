"""pints ("Pi NTS"): authenticated time for computers that wake up in the past."""

__version__ = "0.1.0"
