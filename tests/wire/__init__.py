"""Tests of the wire layer, one file per module."""
