"""What a command is to the system that runs it: signals, exit statuses, its standard streams, the last resort."""
