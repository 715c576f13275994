"""What is shown: each widget hands layers to a function in another thread, and shows what comes."""
