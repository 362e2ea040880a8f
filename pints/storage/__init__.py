"""What outlasts a run: the folders of state, what is read at the start, what is written later."""
