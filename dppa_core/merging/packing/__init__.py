"""Files that make a model of its base: what a form keeps."""
