"""Downloads, reports, and a push to the Hub."""
