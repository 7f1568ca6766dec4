"""The verifying registry gate: HTTP in front of ``imagekit.verify``, as ``cli`` is its terminal.

It speaks the pull half of the OCI distribution API in front of registries or a layout, and serves
only manifests that the policy allows, and only blobs in the closure of an allowed manifest. How a
request goes::

    request_paths  the request's target, by a strict grammar; nothing of it is ever passed on
    auth           who asks, and for which repositories that may be
    upstreams      which upstream it means: a policy speaks of the upstream's name
    decisions      one verification for all who ask at once; how long its verdict holds, what
                   belongs to the image, and both on disk: they survive a restart and kill -9
    blobs          cache, download and sending of blobs: never a complete wrong body
    app            puts them together; ``serve`` runs it
"""
