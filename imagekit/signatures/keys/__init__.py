"""Private keys wherever they are: in files, on tokens, in a cloud's KMS."""
