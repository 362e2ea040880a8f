"""Where bootstrap, client, sync and evidence meet: events in, actions out.  Pure."""
