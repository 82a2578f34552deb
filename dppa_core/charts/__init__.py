"""Charts and reports of experiments: plain values, their JSON, and static SVG."""
