"""What is taken away: files, reports, a push to the Hub."""
