"""One self-contained HTML page that says what was kept, what was dropped and why, and what the model learned."""
