"""What a person sees of a run: ``terminal`` has bars, lines and the summary at the end."""
