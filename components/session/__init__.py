"""A visitor's choices as one frozen value, as JSON, as a link; no Gradio."""
