"""What experts say: a blinded questionnaire, and the analysis of its answers."""
