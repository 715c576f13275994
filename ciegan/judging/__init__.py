"""Networks beside what they have to beat."""
