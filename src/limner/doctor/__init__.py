"""What of limner runs on this machine, and what is missing: checks that each try the thing itself, and their report."""
