"""Learn: lessons in Markdown, and the live blocks in them. Knows the library, never a tensor."""
