"""The control socket: the daemon's end (`server`) and the commands' end (`client`)."""
