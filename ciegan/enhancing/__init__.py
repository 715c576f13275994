"""Networks on acquisitions: files, folders, and folders that fill."""
