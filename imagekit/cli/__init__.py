"""The terminal's face: parses words, calls the library, prints."""
