"""Commands of `dppa` that train and measure: one entry point, `app.command`."""
