"""Tables, charts and reports of experiments: plain values, their JSON, Markdown and static SVG."""
