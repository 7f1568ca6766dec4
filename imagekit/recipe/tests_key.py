"""The shape of ``tests`` in recipe.yaml: what is run in the finished image, and what must hold."""

from imagekit.documents.scalars import LINES, Boolean, Choice, Integer, Text
from imagekit.documents.shape import Record, item
from imagekit.recipe import items, rules, values
from imagekit.recipe.image_test import ARBITRARY, EndSignal, ImageTest

_KEYS = frozenset(ImageTest.__struct_fields__) - {"place"}
_SIGNAL = Record(
    "a signal that must end a test",
    {
        "send": item(
            Choice("the signal", ("TERM", "INT", "HUP", "QUIT")), "which one", default="TERM"
        ),
        "after": item(items.TIME_LIMIT, "how long the program runs before", default=1),
        "within": item(items.TIME_LIMIT, "how long it may take to end", required=True),
    },
    make=lambda v: EndSignal(name=v["send"], after=v["after"], within=v["within"]),
    aliases={"signal": "send", "timeout": "within", "grace": "within", "delay": "after"},
)
_REGEX = Text("a regular expression", pattern=LINES, parse=values.regex, max_length=1000)
TEST = Record(
    "a test",
    {
        "name": item(
            items.LINE, "what policies call it; the command itself by default", default=""
        ),
        "run": item(items.COMMAND, "a command, run around the entrypoint"),
        "args": item(items.ARGUMENTS, "arguments for the entrypoint"),
        "exit_code": item(
            Integer("an exit code", minimum=0, maximum=255),
            "the exit code; 0 by default, and where a signal ends it that of the signal too",
        ),
        "stdout": item(_REGEX, "regular expression that must be found in the output"),
        "stderr": item(_REGEX, "the same for the standard error"),
        "user": item(
            items.OWNER,
            "`arbitrary` for one whom the image does not know, `image` for the image's own, or "
            "USER or USER:GROUP",
            default=ARBITRARY,
        ),
        "read_only": item(Boolean("whether"), "whether the root is read-only", default=True),
        "network": item(
            items.NETWORK,
            "`host` for the host's network; nothing but loopback by default",
            default=False,
        ),
        "signal": item(_SIGNAL, "a signal that must end the program in time"),
        "time_limit": item(items.TIME_LIMIT, "longest time of it; that of one step by default"),
    },
    make=lambda v: ImageTest(place=v.place, **{name: v[name] for name in _KEYS}),
    rules=(rules.run_or_args,),
    aliases={
        "command": "run",
        "status": "exit_code",
        "output": "stdout",
        "readonly": "read_only",
        "timeout": "time_limit",
        "stop": "signal",
    },
)
