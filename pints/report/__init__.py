"""What the daemon tells about itself: the content of every status command, as plain values."""
