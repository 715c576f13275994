"""The sharpest plane of a stack."""
