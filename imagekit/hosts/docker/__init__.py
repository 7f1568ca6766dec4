"""Docker's daemon: the authorization plugin."""
