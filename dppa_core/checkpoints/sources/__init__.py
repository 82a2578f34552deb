"""Opens the checkpoint of a reference: an embedded model, a folder, a model of the Hub."""
