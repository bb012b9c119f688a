"""The meaning of a campaign: a tolerant reading, the summary, what needs attention, the text for the model."""
