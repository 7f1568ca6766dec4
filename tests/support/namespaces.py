"""PID namespaces of their own, as other containers or nodes have."""

import os
from collections.abc import Mapping


def pid_namespace(env: Mapping[str, str]) -> list[str]:
    """Return what runs a program as this user in a PID namespace of its own.

    Args:
        env: the environment that the program gets.
    """
    own = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child=KILL"]
    if os.geteuid() == 0:
        return own
    variables = [f"{key}={value}" for key, value in env.items()]
    back = ["setpriv", f"--reuid={os.getuid()}", f"--regid={os.getgid()}", "--init-groups"]
    return ["sudo", "-n", "env", "-i", *variables, *own, *back]
