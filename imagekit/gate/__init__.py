"""The verifying registry gate: an HTTP face over ``pipeline``, as ``cli`` is the terminal's.

It speaks the pull half of the OCI distribution API in front of registries or a layout, and serves
only manifests that the policy allows, and only blobs in the closure of an allowed manifest. How a
request goes::

    paths      the request's target, by a strict grammar; nothing of it is ever passed on
    guard      who asks, and for which repositories that may be
    upstreams  which upstream it means: a policy speaks of the upstream's name
    desk       one verification for all who ask at once, decisions kept, tags pinned for a while
    decide     the verdict by ``imagekit.verify.verify``, how long it holds, and the closure
    store      what was decided, on disk: it survives a restart and kill -9
    blobs      cache, download and sending of blobs: never a complete wrong body
    app        puts them together; ``serve`` runs it
"""
