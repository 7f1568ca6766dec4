"""The tools: each module drives one program, library or store, and maps its errors."""
