"""What a campaign means: tolerant parsing, the summary, the problems, and the text for the model."""
