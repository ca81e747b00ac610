"""Hostile contracts: names that are words of every language, and texts that would be code if they got out.

The words, in `data/words.txt`, are the keywords of Rust, C, C++, OCaml, Python, Cython and Julia, with names
of their standard libraries that generated code is likely to use. The texts would end a comment or a literal,
run, make a file called `CANARY`, turn round what follows, or come out of the template engine changed.
"""

from __future__ import annotations

import json
import keyword
import re
from pathlib import Path
from typing import Any, Final

from mycelium_fast.contracts.model import MODULE_NAMES, field_python_name, message_python_name

__all__ = [
    "CANARY",
    "JINJA_RESULT",
    "TEXTS",
    "WORDS",
    "as_yaml",
    "hostile_fields",
    "hostile_messages",
    "hostile_pairs",
    "hostile_python",
    "hostile_texts",
]

#: A file of this name would be made if a text ran.
CANARY: Final = "mycelium_canary"
#: What a text has where a template engine had rendered it; stands in none as it is.
JINJA_RESULT: Final = "30030021"

#: Every word once.
WORDS: Final = tuple(
    dict.fromkeys(
        word
        for line in (Path(__file__).parent / "data" / "words.txt").read_text().splitlines()
        if not line.startswith("#")
        for word in line.split()
    )
)

_WRITE: Final = f'open("{CANARY}", "w")'

#: Texts for descriptions.
TEXTS: Final = (
    # Ends of literals and comments, of every language.
    """quotes " ' ` ''' \"\"\" “ ” « » and \\ \\\\ \\" \\' \\n \\u{0} \\x00 \\0 %s %n {} {0}""",
    "ends */ /* // /// //! #| |# (* *) *) *) =# #= {| |} {id| |id} (** *) #if 0 #endif \\",
    f'""" + __import__("os").system("touch {CANARY}") + """',
    f"''' + {_WRITE} + '''",
    f"*/ __attribute__((constructor)) static void f(void) {{ fclose(fop{_WRITE[2:]}); }} /*",
    f'*) let () = close_out (open_out "{CANARY}") (* "',
    f'" ; std::fs::write("{CANARY}", b"x").unwrap(); //',
    f'=# write("{CANARY}", "x") #= """ * $(touch("{CANARY}")) *',
    # Template syntax: two factors whose product stands nowhere else.
    "{{ 5003 * 6002 + 2015 }} {% raw %} {% endraw %} {% if %} {# comment #} {{ missing.name }} {% set x %}",
    f"#{{5}} ${{PATH}} $(touch {CANARY}) `touch {CANARY}` <% x %> @{{x}} {{{{{{}}}}}}",
    # Code fences and markup: rustdoc would compile and run the first.
    f'```\nstd::fs::write("{CANARY}", b"x").unwrap();\n```\n\n    indented code: panic!()\n',
    f'~~~rust\nstd::fs::write("{CANARY}", b"x").unwrap();\n~~~\n```should_panic\nfn main() {{}}\n```',
    "[link][nowhere] [`Nothing::there`] <b>bold</i> <script>alert(1)</script> & &amp; &#x2f; * - + _x_",
    "@param x @return \\param \\file @code x @endcode {@link} {!x} {b bold} {v x v} @raise Foo [code] {[x]}",
    "??/ ??' ??( trigraphs <: :> %: digraphs, and a backslash at the end \\",
    "line\\\ncontinued\\\r\nagain\rand\x0bagain\x0cand\x1cand\x85and\u2028and\u2029end",
    # What cannot be seen, or turns round what is around it.
    "emoji \U0001f600 \U0001f468\u200d\U0001f469 \u202eright to left\u202c \u200f\u200e \u2066x\u2069 \u061c",
    "nul-free controls \x01\x02\x07\x08\x1b[31m\x7f\x9b, \ufeff bom, \u00ad soft, \ufdd0 \U000e0041 tag",
    "combining e\u0301 \u0334, Arabic \u0627\u0644, \u05d0\u05d1, \u4e2d\u6587, \ufb01 \uff07 \uff0a\uff0f",
    "long " + "W" * 400 + " words " + "*/" * 120 + " and no end",
    "(* \" (* ' \" *) '\"' '\\'' {|*)|} \"{|\" unterminated string: \"",
    "'",
    '"',
    "\\",
    "*/",
    "*)",
    "{|",
    "`",
    "-->",
    " ",
    "ends with a star *",
    "/",
)


def hostile_texts(seed: int = 9_001) -> str:
    """A contracts file whose every text is hostile: descriptions, domains, sensitivity, unknown rules."""
    messages: dict[str, Any] = {}
    for index, text in enumerate(TEXTS):
        domain = re.sub(r"\s+", " ", text).strip() or "x"
        fields: dict[str, Any] = {
            "value": {"type": " u64 ", "description": text},
            "text": {
                "type": "String",
                "description": text,
                "validation": [{"max_length": 5}, {f"rule {text}": text}, {"monotonic": [text, {"k": text}]}],
            },
            "items": {
                "type": "Vec< [u8;  3] >",
                "description": text,
                text: text,
                "validation": [{"max_length": 3}],
            },
        }
        messages[f"Text{index}"] = {
            "tlv_type": 1000 + index,
            "domain": domain,
            "description": text,
            "fields": fields,
            "extra": {text: text},
        }
    messages["Secret"] = {
        "tlv_type": 900,
        "domain": '*/ "Lab" *)',
        "sensitivity": TEXTS[1],
        "description": TEXTS[4],
        "fields": {"key": {"type": "[u8; 4]", "description": TEXTS[2], "validation": [{"not_zero": True}]}},
    }
    return _file(seed, messages)


def hostile_messages(part: int = 0, parts: int = 1, seed: int = 9_002) -> str:
    """A contracts file with a message of every word's name, or every so many of them."""
    messages: dict[str, Any] = {}
    for index, word in enumerate(_apart(WORDS, message=True)[part::parts]):
        messages[word] = {
            "tlv_type": 1000 + index,
            "domain": word,
            "description": f"{word}.",
            "fields": {word: {"type": "u16", "description": word}},
        }
    return _file(seed + part, messages)


def hostile_fields(seed: int = 9_102) -> str:
    """A contracts file with a field of every word's name, of types in turn, thirty to a message."""
    types: list[dict[str, Any]] = [
        {"type": "u64"},
        {"type": "String", "validation": [{"max_length": 3}, {"no_0x_prefix": True}]},
        {"type": "Vec<u16>", "validation": [{"max_length": 3}, {"not_empty": True}]},
        {"type": "bool"},
        {"type": "i128"},
        {"type": "[u8; 3]"},
        {"type": "f32", "validation": [{"min": 0.0}, {"max": 1.5}]},
        {"type": "[i16; 2]"},
        {"type": "U256"},
        {"type": "Vec<u8>", "validation": [{"max_length": 2}]},
    ]
    words = _apart(WORDS, message=False)
    messages: dict[str, Any] = {}
    for start in range(0, len(words), 30):
        fields = {
            word: types[(start + index) % len(types)] for index, word in enumerate(words[start : start + 30])
        }
        messages[f"Fields{start}"] = {"tlv_type": 1000 + start, "domain": "Lab", "fields": fields}
    return _file(seed, messages)


def hostile_python(seed: int = 9_202) -> str:
    """A smaller file, for a slow compiler: messages with words of Cython and Python for names."""
    names = [*keyword.kwlist[::7], *(word for word in WORDS if word in MODULE_NAMES)]
    words = _apart(WORDS, message=False)
    messages: dict[str, Any] = {}
    for index, name in enumerate(_apart(tuple(names), message=True)):
        fields = {word: {"type": "u16"} for word in words[index * 4 : index * 4 + 4]}
        messages[name] = {"tlv_type": 1000 + index, "domain": name, "fields": fields}
    return _file(seed, messages)


def hostile_pairs(seed: int = 9_302) -> str:
    """A contracts file whose messages and fields together give the same names: `foo_set` and `bar`, `foo` and
    `set_bar`. A language that joins them with an underscore has to tell them apart."""
    fields = [
        "bar",
        "set",
        "get",
        "count",
        "set_bar",
        "bar_count",
        "set_count",
        "at",
        "bar_at",
        "append",
        "init",
    ]
    fields += [
        "append_bar",
        "bar_append",
        "decode",
        "encode",
        "check",
        "size",
        "set_at",
        "bar_set",
        "length",
        "data",
    ]
    fields += [
        "type_id",
        "set_set",
        "Bar",
        "setBar",
        "set_bar_at",
        "bar_set_at",
        "validate",
        "describe",
        "fault",
    ]
    types = ("u32", "String", "Vec<u16>", "[u8; 3]", "[i16; 2]", "Vec<u8>", "bool")
    names = [
        "Foo",
        "FooSet",
        "FooGet",
        "SetFoo",
        "foo_bar",
        "foo_set_bar",
        "FooBarSet",
        "FooInit",
        "FooDecode",
        "foo",
    ]
    names += ["FooCheck", "foo_bar_count", "FOO", "foo_", "FooSize", "foo__bar", "FooDescribe", "FooTypeId"]
    messages: dict[str, Any] = {}
    for index, name in enumerate(names):
        chosen = {
            field: {"type": types[(index + number) % len(types)], "validation": []}
            for number, field in enumerate(fields[index % 3 :])
        }
        messages[name] = {"tlv_type": 1000 + index, "domain": "Lab", "fields": chosen}
    return _file(seed, messages)


def _apart(words: tuple[str, ...], *, message: bool) -> list[str]:
    """The words that may stand in one schema: those that Python would call the same are left out."""
    called = message_python_name if message else field_python_name
    found = {called(word): word for word in reversed(words)}
    return list(reversed(found.values()))


def _file(seed: int, messages: dict[str, Any]) -> str:
    return as_yaml({"schema": {"id": seed, "version": 1, "min_compatible": 1}, "messages": messages})


def as_yaml(data: object) -> str:
    """JSON that is YAML also for characters beyond U+FFFF, which JSON escapes as two halves."""

    def whole(halves: re.Match[str]) -> str:
        character = json.loads('"' + halves[0] + '"')
        return f"\\U{ord(character):08x}"

    return re.sub(r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..", whole, json.dumps(data, indent=1))
