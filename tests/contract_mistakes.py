"""The table of mistakes that a contracts file may hold, with the place and the words of every report.

In each text a `»` marks the place that is reported, and is taken out before the file is read. The tests are
in `test_contract_errors.py`; run as a program, this file prints what is really reported.
"""

from __future__ import annotations

from dataclasses import dataclass

from mycelium_fast.contracts import parse
from mycelium_fast.errors import ContractError

TYPES_ARE = "types are u8 to u128, i8 to i128, f32, f64, bool, U256, String, [T; N] and Vec<T>"


@dataclass(frozen=True)
class Case:
    """A file with one mistake; `text` is what is reported, in full."""

    kind: str
    file: str
    text: str

    @property
    def data(self) -> bytes:
        return self.file.replace("»", "").encode()

    @property
    def position(self) -> tuple[int, int]:
        before = self.file[: self.file.index("»")]
        return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def message(body: str) -> str:
    """A file with the message Tick; `body` is what the message has beside domain and type id."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return f"messages:\n  Tick:\n    tlv_type: 1200\n    domain: MarketData\n{lines}"


def field(body: str) -> str:
    """A file with the field Tick.a; `body` is what the field has."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return message(f"fields:\n  a:\n{lines}")


def rules(type_: str, body: str) -> str:
    """A file with the field Tick.a of a type; `body` is its `validation`."""
    return field(f"type: {type_}\nvalidation:\n{body}")


def ranges(body: str, type_id: str = "1200") -> str:
    """A file with `tag_ranges` and one message."""
    lines = "".join(f"  {line}\n" for line in body.splitlines())
    return f"tag_ranges:\n{lines}messages:\n  Tick: {{tlv_type: {type_id}, domain: D, fields: {{}}}}\n"


ERRORS = [
    # -- the file
    Case("empty file", "»", "the file is empty; it needs at least the key messages"),
    Case("comments alone", "»# nothing\n", "the file is empty; it needs at least the key messages"),
    Case(
        "top level is a list",
        "# head\n»- messages\n",
        "a contracts file must be a map with a key messages, not a list",
    ),
    Case(
        "top level is text",
        "»messages\n",
        "a contracts file must be a map with a key messages, not the text 'messages'",
    ),
    Case(
        "second document",
        "messages: {}\n»---\nmessages: {}\n",
        "a second YAML document begins here; a contracts file is a single one",
    ),
    Case(
        "no messages",
        "»schema: {id: 1}\n",
        "the file: the key messages is missing; it is a map from the name of a message to its contents",
    ),
    Case(
        "misspelt messages",
        "schema: {id: 1}\n»mesages: {}\n",
        "the file: the key messages is missing; did you mean it by 'mesages'?",
    ),
    Case(
        "messages are a list",
        "messages:\n  »- Tick\n",
        "messages must be a map from the name of a message to its contents, not a list",
    ),
    Case(
        "messages are empty",
        "messages:»\n",
        "messages must be a map from the name of a message to its contents, not empty",
    ),
    Case(
        "key given twice at the top",
        "messages: {}\n»messages: {}\n",
        "the file: the key 'messages' is given twice; the first is at line 1, column 1",
    ),
    Case(
        "key given twice in an unknown part",
        "messages: {}\nowners:\n  - a: 1\n    »a: 2\n",
        "the key 'a' is given twice; the first is at line 3, column 5",
    ),
    # -- YAML
    Case(
        "tab as indentation",
        "messages:\n»\tTick: {}\n",
        "not valid YAML: found character '\\t' that cannot start any token, "
        "while scanning for the next token",
    ),
    Case(
        "bracket that is not closed",
        "messages: {Tick: {tlv_type: 1\n»",
        "not valid YAML: expected ',' or '}', but got '<stream end>', "
        "while parsing a flow mapping (which begins at line 1)",
    ),
    Case(
        "quote that is not closed",
        'messages:\n  Tick: "abc\n»',
        "not valid YAML: found unexpected end of stream, "
        "while scanning a quoted scalar (which begins at line 2)",
    ),
    Case(
        "colon in plain text",
        "messages:\n  Tick:\n    description: a»: b\n",
        "not valid YAML: mapping values are not allowed here",
    ),
    Case(
        "bad indentation",
        "messages:\n  Tick:\n    domain: D\n   »fields: {}\n",
        "not valid YAML: expected <block end>, but found '<block mapping start>', "
        "while parsing a block mapping (which begins at line 2)",
    ),
    Case(
        "control character",
        "messages:\n  Tick: »\x07\n",
        "the character U+0007 may not stand in a YAML file",
    ),
    Case(
        "escape beyond Unicode",
        'messages: {}\nnote: "\\U»FFFFFFFF"\n',
        "not valid YAML: an escape or a version stands for a number that is too large",
    ),
    Case(
        "half a surrogate pair",
        'messages: {}\nnote: »"\\uD800"\n',
        "an escape stands for half a surrogate pair, which is no character",
    ),
    Case(
        "tag that names a Python object",
        'messages: {}\nnote: »!!python/object/apply:os.system ["true"]\n',
        "the tag '!!python/object/apply:os.system' means nothing in a contracts file; remove it",
    ),
    Case(
        "tag of the file's own",
        "messages: {}\nnote: »!secret abc\n",
        "the tag '!secret' means nothing in a contracts file; remove it",
    ),
    Case(
        "tag that the value denies",
        "messages: {}\nnote: »!!int abc\n",
        "'abc' is no int, though its tag is !!int",
    ),
    Case(
        "alias of nothing",
        "messages: »*base\n",
        "the alias *base stands for no anchor before it",
    ),
    Case(
        "alias inside itself",
        "messages: &all\n  Tick: »*all\n",
        "the alias *all stands inside what it stands for",
    ),
    Case(
        "aliases of aliases of aliases",
        "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
        "b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\n"
        "c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]\n"
        "d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]\n"
        "e: &e [*d, *d, *d, *d, *d, *d, *d, »*d, *d, *d]\n"
        "messages: {}\n",
        "the aliases of this file stand for more than 100000 values; write fewer",
    ),
    Case(
        "nested too deep",
        "messages: {}\nnote: " + "[" * 63 + "»[\n",
        "nested deeper than 64 levels",
    ),
    Case(
        "key that is a list",
        "messages: {}\n? »[a, b]\n: 1\n",
        "a key must be text, not a list",
    ),
    Case(
        "number without end",
        f"messages: {{}}\nnote: »{'9' * 5000}\n",
        "a number of 5000 digits is too long",
    ),
    # -- schema and tag_ranges
    Case(
        "schema is text",
        "schema: »one\nmessages: {}\n",
        "schema must be a map with the keys id, version and min_compatible, not the text 'one'",
    ),
    Case(
        "schema version is text",
        "schema:\n  version: »'1'\nmessages: {}\n",
        "schema.version must be a whole number from 0, not the text '1'",
    ),
    Case(
        "tag_ranges are a list",
        "tag_ranges: »[1-999]\nmessages: {}\n",
        "tag_ranges must be a map with ranges such as 'app: 1000-49999', not a list",
    ),
    Case(
        "tag range is no range",
        ranges("app: »1000..49999"),
        "tag_ranges.app must be a range such as '1000-49999', not the text '1000..49999'",
    ),
    Case(
        "tag range is a number",
        ranges("app: »1000"),
        "tag_ranges.app must be a range such as '1000-49999', not the number 1000",
    ),
    Case(
        "tag range backwards",
        ranges("app: »49999-1000"),
        "tag_ranges.app: the range 49999-1000 ends before it begins",
    ),
    Case(
        "tag range too large",
        ranges("experimental: »50000-65536"),
        "tag_ranges.experimental: the range 50000-65536 is not within 1-65535",
    ),
    Case(
        "tag range from zero",
        ranges("core: »0-999"),
        "tag_ranges.core: the range 0-999 is not within 1-65535",
    ),
    Case(
        "tag ranges overlap",
        ranges("app: 1000-50000\nexperimental: »50000-65535"),
        "tag_ranges: experimental (50000-65535) overlaps app (1000-50000); "
        "a type id can be in one range alone",
    ),
    Case(
        "type id inside core",
        ranges("core: 1-999\napp: 1000-49999", type_id="»17"),
        "Tick: tlv_type 17 is inside core (1-999), which is reserved for the framework; "
        "take one from app (1000-49999)",
    ),
    # -- messages
    Case(
        "message is text",
        "messages:\n  Tick: »u64\n",
        "the message 'Tick' must be a map with tlv_type, domain and fields, not the text 'u64'",
    ),
    Case(
        "message is empty",
        "messages:\n  Tick:»\n",
        "the message 'Tick' must be a map with tlv_type, domain and fields, not empty",
    ),
    Case(
        "message given twice",
        "messages:\n"
        "  Tick: {tlv_type: 1, domain: D, fields: {}}\n"
        "  »Tick: {tlv_type: 2, domain: D, fields: {}}\n",
        "the message 'Tick' is given twice; the first is at line 2, column 3",
    ),
    Case(
        "message name with a hyphen",
        "messages:\n  »Trade-Tick: {tlv_type: 1, domain: D, fields: {}}\n",
        "message name 'Trade-Tick' is not an identifier: ASCII letters, digits and _, no digit first",
    ),
    Case(
        "messages of one name in Python",
        "messages:\n"
        "  None: {tlv_type: 1, domain: D, fields: {}}\n"
        "  »None_: {tlv_type: 2, domain: D, fields: {}}\n",
        "the messages 'None' and 'None_' are both 'None_' in Python; rename one of them",
    ),
    Case(
        "two messages of one type id",
        "messages:\n"
        "  Tick: {tlv_type: 1200, domain: D, fields: {}}\n"
        "  Tock: {tlv_type: »0x4B0, domain: D, fields: {}}\n",
        "Tock: tlv_type 1200 is taken by Tick (line 2); every message needs its own",
    ),
    Case(
        "no type id",
        "messages:\n  »Tick: {domain: D, fields: {}}\n",
        "Tick: the key tlv_type is missing; it is the message's number",
    ),
    Case(
        "misspelt type id",
        "messages:\n  Tick: {»tlv_typ: 1200, domain: D, fields: {}}\n",
        "Tick: the key tlv_type is missing; did you mean it by 'tlv_typ'?",
    ),
    Case(
        "type id is text",
        "messages:\n  Tick: {tlv_type: »'1200', domain: D, fields: {}}\n",
        "Tick: tlv_type must be a whole number from 1 to 65535, not the text '1200'",
    ),
    Case(
        "type id is true",
        "messages:\n  Tick: {tlv_type: »true, domain: D, fields: {}}\n",
        "Tick: tlv_type must be a whole number from 1 to 65535, not true",
    ),
    Case(
        "type id is a float",
        "messages:\n  Tick: {tlv_type: »1200.0, domain: D, fields: {}}\n",
        "Tick: tlv_type must be a whole number from 1 to 65535, not the number 1200.0",
    ),
    Case(
        "type id zero",
        "messages:\n  Tick: {tlv_type: »0, domain: D, fields: {}}\n",
        "Tick: tlv_type must be a whole number from 1 to 65535, not the number 0",
    ),
    Case(
        "type id too large",
        "messages:\n  Tick: {tlv_type: »0x10000, domain: D, fields: {}}\n",
        "Tick: tlv_type must be a whole number from 1 to 65535, not the number 0x10000",
    ),
    Case(
        "no domain",
        "messages:\n  »Tick: {tlv_type: 1200, fields: {}}\n",
        "Tick: the key domain is missing; the topic is made from it",
    ),
    Case(
        "domain is blank",
        "messages:\n  Tick: {tlv_type: 1200, domain: »' ', fields: {}}\n",
        "Tick: domain must be text such as MarketData, not the text ' '",
    ),
    Case(
        "domain is a number",
        "messages:\n  Tick: {tlv_type: 1200, domain: »12, fields: {}}\n",
        "Tick: domain must be text such as MarketData, not the number 12",
    ),
    Case(
        "no fields",
        "messages:\n  »Tick: {tlv_type: 1200, domain: D}\n",
        "Tick: the key fields is missing; write 'fields: {}' for a message without fields",
    ),
    Case(
        "fields are empty",
        message("fields:»"),
        "Tick: fields must be a map from name to type, not empty; "
        "write 'fields: {}' for a message without fields",
    ),
    Case(
        "fields are a list",
        message("fields:\n  »- name: price\n    type: u64"),
        "Tick: fields must be a map from name to type, not a list; "
        "write 'price: {type: u64}' rather than '- name: price'",
    ),
    Case(
        "description is a map",
        message("description: »{en: text}\nfields: {}"),
        "Tick: description must be text, not a map",
    ),
    Case(
        "sensitivity is a number",
        message("sensitivity: »3\nfields: {}"),
        "Tick: sensitivity must be text, not the number 3",
    ),
    Case(
        "log_payload is text",
        message("log_payload: »no\nfields: {}"),
        "Tick: log_payload must be true or false, not the text 'no'",
    ),
    Case(
        "log_payload is empty",
        message("log_payload:»\nfields: {}"),
        "Tick: log_payload must be true or false, not empty",
    ),
    Case(
        "required_prior_messages is text",
        message("required_prior_messages: »Tick\nfields: {}"),
        "Tick: required_prior_messages must be a list, not the text 'Tick'; write [Tick]",
    ),
    Case(
        "required_prior_messages has a map",
        message("required_prior_messages: [»{Tick: 1}]\nfields: {}"),
        "Tick: required_prior_messages holds names of messages, not a map",
    ),
    Case(
        "payload too large",
        "messages:\n  »Tick:\n    tlv_type: 1200\n    domain: D\n    fields:\n"
        "      a: {type: 'Vec<[u8; 65535]>', validation: [{max_length: 257}]}\n",
        "Tick: the payload takes 16842504 bytes, over the 16777216 that peers accept; "
        "lower a max_length or an array length",
    ),
    # -- fields
    Case(
        "field is a type alone",
        message("fields:\n  a: »u64"),
        "Tick.a must be a map with a type, not the text 'u64'; write '{type: u64}'",
    ),
    Case(
        "field is a list",
        message("fields:\n  a: »[u64]"),
        "Tick.a must be a map with a type, not a list",
    ),
    Case(
        "field given twice",
        message("fields:\n  price: {type: u64}\n  »price: {type: u32}"),
        "Tick: the field 'price' is given twice; the first is at line 6, column 7",
    ),
    Case(
        "field given twice, once in quotes",
        message('fields:\n  on: {type: u64}\n  »"on": {type: u32}'),
        "Tick: the field 'on' is given twice; the first is at line 6, column 7",
    ),
    Case(
        "key given twice in a field",
        field("type: u64\n»type: u32"),
        "Tick.a: the key 'type' is given twice; the first is at line 7, column 9",
    ),
    Case(
        "field name with a digit first",
        message("fields:\n  »0x: {type: u64}"),
        "Tick: field name '0x' is not an identifier: ASCII letters, digits and _, no digit first",
    ),
    Case(
        "field name that is not ASCII",
        message("fields:\n  »größe: {type: u64}"),
        "Tick: field name 'größe' is not an identifier: ASCII letters, digits and _, no digit first",
    ),
    Case(
        "field name that would be code",
        message("fields:\n  »'a = print()': {type: u64}"),
        "Tick: field name 'a = print()' is not an identifier: ASCII letters, digits and _, no digit first",
    ),
    Case(
        "field name that is empty",
        message("fields:\n  »'': {type: u64}"),
        "Tick: field name '' is not an identifier: ASCII letters, digits and _, no digit first",
    ),
    Case(
        "fields of one name in Python",
        message("fields:\n  from_: {type: u64}\n  »from: {type: u64}"),
        "Tick: the fields 'from_' and 'from' are both 'from_' in Python; rename one of them",
    ),
    Case(
        "no type",
        message("fields:\n  »a: {description: text}"),
        f"Tick.a: the key type is missing; {TYPES_ARE}",
    ),
    Case(
        "misspelt type key",
        message("fields:\n  a: {»typ: u64}"),
        "Tick.a: the key type is missing; did you mean it by 'typ'?",
    ),
    Case(
        "misspelt type",
        field("type: »u46"),
        "Tick.a: unknown type 'u46'; did you mean 'u64'?",
    ),
    Case(
        "misspelt type of elements",
        field("type: »Vec<[u80; 20]>"),
        "Tick.a: unknown type 'Vec<[u80; 20]>'; did you mean 'Vec<[u8; 20]>'?",
    ),
    Case(
        "type of another language",
        field("type: »uint64"),
        "Tick.a: unknown type 'uint64'; did you mean 'u64'?",
    ),
    Case(
        "type in lower case",
        field("type: »string"),
        "Tick.a: unknown type 'string'; did you mean 'String'?",
    ),
    Case(
        "type of nothing known",
        field("type: »Decimal"),
        f"Tick.a: unknown type 'Decimal'; {TYPES_ARE}",
    ),
    Case(
        "type without quotes that YAML takes for a list",
        field("type: »[u8; 20]"),
        "Tick.a: type must be the text of a type, not a list; quote it: type: '[u8; 20]'",
    ),
    Case(
        "type is empty",
        field("type:»"),
        f"Tick.a: type must be the text of a type, not empty; {TYPES_ARE}",
    ),
    Case(
        "type of absurd length",
        field("type: »" + "Vec<" * 50),
        "Tick.a: type must be the text of a type, not the text "
        f"'{'Vec<' * 15}'... (200 characters); {TYPES_ARE}",
    ),
    Case(
        "Vec of Vec",
        field("type: »Vec<Vec<u8>>"),
        "Tick.a: 'Vec<Vec<u8>>' nests too deep: String and Vec may not stand inside another type",
    ),
    Case(
        "array of strings",
        field("type: »'[String; 3]'"),
        "Tick.a: '[String; 3]' nests too deep: String and Vec may not stand inside another type",
    ),
    Case(
        "array of arrays of numbers",
        field("type: »'[[u16; 4]; 3]'"),
        "Tick.a: '[[u16; 4]; 3]' nests too deep: "
        "inside an array or Vec only scalars, U256 and [u8; N] may stand",
    ),
    Case(
        "array of length zero",
        field("type: »'[u8; 0]'"),
        "Tick.a: array length '0' in '[u8; 0]' is not a whole number from 1 to 65535",
    ),
    Case(
        "array too long",
        field("type: »'[u64; 65536]'"),
        "Tick.a: array length '65536' in '[u64; 65536]' is not a whole number from 1 to 65535",
    ),
    Case(
        "array length is a name",
        field("type: »'[u8; N]'"),
        "Tick.a: array length 'N' in '[u8; N]' is not a whole number from 1 to 65535",
    ),
    Case(
        "optional is text",
        field("type: u64\noptional: »yes"),
        "Tick.a: optional must be true or false, not the text 'yes'",
    ),
    # -- rules
    Case(
        "validation is a map",
        field("type: u64\nvalidation:\n  »min: 1"),
        "Tick.a: validation must be a list of rules such as '- min: 1', not a map",
    ),
    Case(
        "rule is a word",
        rules("String", "- »not_empty"),
        "Tick.a: a rule must be a map such as 'min: 1', not the text 'not_empty'; write 'not_empty: true'",
    ),
    Case(
        "rule given twice",
        rules("u64", "- min: 1\n- »min: 2"),
        "Tick.a: the rule 'min' is given twice; the first is at line 9, column 11",
    ),
    Case(
        "max_length is text",
        rules("String", "- max_length: »'32'"),
        "Tick.a: max_length must be a whole number from 1 to 65535, not the text '32'",
    ),
    Case(
        "max_length is true",
        rules("String", "- max_length: »true"),
        "Tick.a: max_length must be a whole number from 1 to 65535, not true",
    ),
    Case(
        "max_length is a float",
        rules("String", "- max_length: »32.5"),
        "Tick.a: max_length must be a whole number from 1 to 65535, not the number 32.5",
    ),
    Case(
        "max_length zero",
        rules("String", "- max_length: »0"),
        "Tick.a: max_length must be a whole number from 1 to 65535, not the number 0",
    ),
    Case(
        "max_length too large",
        rules("Vec<u8>", "- max_length: »65536"),
        "Tick.a: max_length must be a whole number from 1 to 65535, not the number 65536",
    ),
    Case(
        "max_length wrong where min_length is over the default",
        rules("String", "- min_length: 40\n- max_length: »none"),
        "Tick.a: max_length must be a whole number from 1 to 65535, not the text 'none'",
    ),
    Case(
        "min_length negative",
        rules("String", "- min_length: »-1"),
        "Tick.a: min_length must be a whole number from 0 to 65535, not the number -1",
    ),
    Case(
        "min_length over max_length",
        rules("Vec<u64>", "- min_length: »5\n- max_length: 4"),
        "Tick.a: min_length 5 is over the capacity 4; raise max_length",
    ),
    Case(
        "min_length over the default capacity",
        rules("String", "- min_length: »33"),
        "Tick.a: min_length 33 is over the capacity 32; raise max_length",
    ),
    Case(
        "not_empty is text",
        rules("String", "- not_empty: »'x'"),
        "Tick.a: not_empty must be true or false, not the text 'x'",
    ),
    Case(
        "min is text",
        rules("u64", "- min: »one"),
        "Tick.a: min must be a finite number, not the text 'one'",
    ),
    Case(
        "max is not a number",
        rules("f64", "- max: ».nan"),
        "Tick.a: max must be a finite number, not the number .nan",
    ),
    Case(
        "min above max",
        rules("i32", "- min: 10\n- »max: 9"),
        "Tick.a: min 10 is above max 9, so that no value is valid",
    ),
    Case(
        "fraction as the limit of whole numbers",
        rules("u64", "- min: »0.5"),
        "Tick.a: min 0.5 is not a whole number, but u64 holds nothing else",
    ),
    Case(
        "min above every value",
        rules("u8", "- min: »256"),
        "Tick.a: min 256 excludes every value of u8 (0 to 255)",
    ),
    Case(
        "max below every value",
        rules("U256", "- max: »-1"),
        f"Tick.a: max -1 excludes every value of U256 (0 to {2**256 - 1})",
    ),
]

ERRORS += [
    Case(
        "capacity that is misspelt",
        rules("String", "- min_length: 40\n- »max_lenght: 64"),
        "Tick.a: the rule 'max_lenght' is unknown; did you mean 'max_length'? "
        "The capacity, and with it the layout, depends on it",
    ),
    Case(
        "type id by another name",
        "messages:\n  Tick:\n    »type_id: 1200\n    domain: D\n    fields: {}\n",
        "Tick: the key tlv_type is missing; did you mean it by 'type_id'?",
    ),
    Case(
        "domain by another name",
        "messages:\n  Tick:\n    tlv_type: 1200\n    »topic: d\n    fields: {}\n",
        "Tick: the key domain is missing; did you mean it by 'topic'?",
    ),
]

WARNINGS = [
    Case("no message in messages", "messages: »{}\n", "the file has no messages"),
    Case(
        "near miss of a key of the file",
        "messages:\n  Tick: {tlv_type: 17, domain: D, fields: {}}\n»tag_range: {core: 1-999}\n",
        "the file: the key 'tag_range' is unknown and ignored; did you mean 'tag_ranges'?",
    ),
    Case(
        "near miss of a key of a message",
        message("fields: {}\n»log-payload: false"),
        "Tick: the key 'log-payload' is unknown and ignored; did you mean 'log_payload'?",
    ),
    Case(
        "near miss of a key of a field",
        field("type: u64\n»Validation: [{min: 1}]"),
        "Tick.a: the key 'Validation' is unknown and ignored; did you mean 'validation'?",
    ),
    Case(
        "near miss of a tag range",
        ranges("»apps: 1000-49999"),
        "tag_ranges: the key 'apps' is unknown and ignored; did you mean 'app'?",
    ),
    Case(
        "merge key",
        "common: &common {type: u64}\n" + field("type: u64\n»<<: *common"),
        "Tick.a: '<<' is an ordinary key here and ignored: YAML 1.2 merges no maps",
    ),
    Case(
        "compatible with a later version alone",
        "schema: »{version: 1, min_compatible: 2}\n" + message("fields: {}"),
        "schema: min_compatible 2 is above version 1",
    ),
    Case(
        "type id inside experimental",
        ranges("app: 1000-49999\nexperimental: 50000-65535", type_id="»50000"),
        "Tick: tlv_type 50000 is inside experimental (50000-65535): other programs may use it too",
    ),
    Case(
        "type id outside app and experimental",
        ranges("app: 1000-1999\nexperimental: 50000-65535", type_id="»2000"),
        "Tick: tlv_type 2000 is outside app (1000-1999) and experimental (50000-65535)",
    ),
    Case(
        "prior message that is not in the file",
        message("required_prior_messages: [Tick, »Tik]\nfields: {}"),
        "Tick: required_prior_messages names Tik, which is not in this file; did you mean 'Tick'?",
    ),
    Case(
        "payload that older peers refuse",
        "messages:\n  »Tick:\n    tlv_type: 1200\n    domain: D\n    fields:\n"
        "      a: {type: 'Vec<[u8; 65535]>', validation: [{max_length: 64}]}\n"
        "      b: {type: '[u8; 65535]'}\n",
        "Tick: the payload takes 4259784 bytes; older peers refuse more than 4194304",
    ),
    Case(
        "rule that is not known",
        rules("u64", "- »monotonic: true"),
        "Tick.a: the rule 'monotonic' is not one that is checked here; kept as metadata",
    ),
    Case(
        "rule that is misspelt",
        rules("String", "- »min_lenght: 3"),
        "Tick.a: the rule 'min_lenght' is not one that is checked here; kept as metadata; "
        "did you mean 'min_length'?",
    ),
    Case(
        "capacity that is misspelt where it means nothing",
        rules("u8", "- »max_lenght: 3"),
        "Tick.a: the rule 'max_lenght' is not one that is checked here; kept as metadata; "
        "did you mean 'max_length'?",
    ),
    Case(
        "key of a field by another name",
        field("type: u8\n»rules: [{min: 3}]"),
        "Tick.a: the key 'rules' is unknown and ignored; did you mean 'validation'?",
    ),
    Case(
        "rule for another type",
        rules("String", "- »min: 3"),
        "Tick.a: the rule min means nothing for String and is not checked",
    ),
    Case(
        "limit that cannot fail",
        rules("u8", "- »max: 256"),
        "Tick.a: max 256 is outside u8 (0 to 255) and can never fail",
    ),
]


if __name__ == "__main__":
    for entry in ERRORS:
        try:
            parse(entry.data)
        except ContractError as error:
            print(f"{entry.kind}\n    {error}")
    for entry in WARNINGS:
        for at_line, at_column, warning in parse(entry.data).warnings:
            print(f"{entry.kind}\n    {at_line}:{at_column}: warning: {warning}")
