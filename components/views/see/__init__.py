"""The middle column: what the merge keeps."""
