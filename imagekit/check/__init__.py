"""The recipe's tests, run in the finished image before anything is pushed."""
