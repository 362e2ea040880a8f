"""Text for people, made of the documents that `pints.report` makes."""
