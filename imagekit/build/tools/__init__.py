"""The programs and folders that a build works with."""
