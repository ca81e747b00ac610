"""OCaml output: what its modules offer to a program, what they refuse, and that nothing makes them raise.

Programs are compiled by the distribution's own compilers with warnings as errors. That bytes and values are
those of every other language is left to the conformance tests, connections to `test_peers.py`.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bridges import CONTRACTS, Bridge
from environments import ROOT, checked
from golden import DATA

from mycelium_fast import contracts
from mycelium_fast.codegen.ocaml_source import labels, modules
from mycelium_fast.codegen.render import render, template_dir
from mycelium_fast.errors import ContractWarning

#: Everything but 70, which asks for an `.mli`.
STRICT = ["-w", "+a-70", "-warn-error", "+a", "-strict-sequence", "-safe-string"]
#: For programs in tests: without what is about style alone.
WARNINGS = ["-w", "+a-4-9-40..42-44-45-70", "-warn-error", "+a", "-strict-sequence", "-safe-string"]

ocaml = pytest.mark.skipif(shutil.which("ocamlopt") is None, reason="ocamlopt is not installed")

LIMITS: dict[str, Any] = {
    "a_u8": "u8",
    "a_u16": "u16",
    "a_u32": "u32",
    "an_i8": "i8",
    "an_i16": "i16",
    "an_i32": "i32",
    "an_f32": "f32",
    "bytes_3": "[u8; 3]",
    "number": "U256",
    "pair": "[i16; 2]",
    "text": ("String", [{"max_length": 5}]),
    "data": ("Vec<u8>", [{"max_length": 2}]),
    "items": ("Vec<[u8; 2]>", [{"max_length": 3}]),
}
RULES: dict[str, Any] = {
    "ratio": ("f32", [{"min": 0.1}, {"max": 0.9}]),
    "big": ("u64", [{"max": 2**63 + 5}]),
    "huge": ("u128", [{"min": 2**64}]),
    "deep": ("i128", [{"max": -1}]),
    "money": ("U256", [{"min": 2**200}]),
    "signed": ("i64", [{"min": -5}]),
    "part": ("f64", [{"not_zero": True}]),
    "name": ("String", [{"max_length": 8}, {"no_0x_prefix": True}, {"not_empty": True}]),
    "ids": ("Vec<u32>", [{"min_length": 1}, {"not_zero": True}]),
}


def schema(messages: dict[str, Any]) -> str:
    """A contracts file; a field is a type, or a type and its rules."""
    body = {
        name: {
            "tlv_type": number,
            "domain": "Lab",
            "fields": {
                field: {"type": what} if isinstance(what, str) else {"type": what[0], "validation": what[1]}
                for field, what in fields.items()
            },
        }
        for number, (name, fields) in enumerate(messages.items(), 1)
    }
    return json.dumps({"messages": body})


def generate(source: Path, target: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ContractWarning)
        target.write_text(render(contracts.load(source), "ocaml"), encoding="utf-8")


def compiled(directory: Path, *arguments: str, compiler: str = "ocamlopt") -> None:
    """Compile; a compiler that says anything has failed."""
    done = subprocess.run(
        [compiler, *arguments], cwd=directory, capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


Run = Callable[[str], list[str]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run a program beside the compiled modules `Messages` (the example contracts), `Limits`, `Torture` and
    `Market`; gives the lines that it prints."""
    if shutil.which("ocamlopt") is None:
        pytest.skip("ocamlopt is not installed")
    directory = tmp_path_factory.mktemp("ocaml")
    (directory / "limits.yaml").write_text(schema({"Limits": LIMITS, "Rules": RULES}))
    sources = {
        "messages": CONTRACTS,
        "limits": directory / "limits.yaml",
        "torture": DATA / "torture.yaml",
        "market": DATA / "market.yaml",
    }
    for name, source in sources.items():
        generate(source, directory / f"{name}.ml")
    compiled(directory, *STRICT, "-c", *(f"{name}.ml" for name in sources))
    count = 0

    def run(program: str) -> list[str]:
        nonlocal count
        count += 1
        name = f"program_{count}"
        (directory / f"{name}.ml").write_text(program, encoding="utf-8")
        objects = [f"{each}.cmx" for each in sources]
        compiled(directory, *WARNINGS, "-o", name, *objects, f"{name}.ml")
        return checked(directory / name, cwd=directory).splitlines()

    return run


def test_a_message_is_built_encoded_framed_and_decoded(run: Run) -> None:
    program = """
let text = function Ok _ -> "ok" | Error error -> Messages.error_to_string error
let hex bytes = String.concat "" (List.map (fun c -> Printf.sprintf "%02x" (Char.code c))
                                    (List.of_seq (Bytes.to_seq bytes)))
open Messages.Trade_tick
let () =
  let tick = { price = 101_500L; size = 2_500L } in
  (match encode tick, to_frame tick with
   | Ok payload, Ok frame ->
     print_endline (hex payload);
     print_endline (hex frame);
     Printf.printf "%b\\n" (decode payload = Ok tick);
     print_endline (text (decode (Bytes.sub payload 0 15)));
     print_endline (text (decode (Bytes.cat payload (Bytes.make 1 ' '))))
   | _ -> print_endline "refused");
  print_endline (to_string { tick with size = -1L });
  Format.printf "%a@." pp tick;
  Printf.printf "%b %b\\n" (equal tick { tick with size = 2_500L }) (equal tick { tick with size = 0L });
  Printf.printf "%s %d %s %d %d %d %d %b\\n"
    name type_id topic size align frame_size buffer_class confidential
"""
    assert run(program) == [
        "7c8c010000000000c409000000000000",
        "b004100000007c8c010000000000c409000000000000",
        "true",
        "TradeTick: a payload of 15 bytes where the message has 16, at offset 0",
        "TradeTick: a payload of 17 bytes where the message has 16, at offset 0",
        "TradeTick { price = 101500, size = 18446744073709551615 }",
        "TradeTick { price = 101500, size = 2500 }",
        "true false",
        "TradeTick 1200 market-data 16 8 22 128 false",
    ]


def test_a_value_that_does_not_fit_is_an_error_that_names_the_field(run: Run) -> None:
    attempts = {
        "a_u8 = 256": "Limits.a_u8: the value is out of range for u8, at offset 0",
        "a_u8 = -1": "Limits.a_u8: the value is out of range for u8, at offset 0",
        "a_u16 = 65536": "Limits.a_u16: the value is out of range for u16, at offset 2",
        "a_u32 = 0x1_0000_0000": "Limits.a_u32: the value is out of range for u32, at offset 4",
        "an_i8 = 128": "Limits.an_i8: the value is out of range for i8, at offset 8",
        "an_i16 = -32769": "Limits.an_i16: the value is out of range for i16, at offset 10",
        "an_i32 = 0x8000_0000": "Limits.an_i32: the value is out of range for i32, at offset 12",
        "an_f32 = 3.5e38": "Limits.an_f32: the value is out of range for f32, at offset 16",
        "an_f32 = -3.5e38": "Limits.an_f32: the value is out of range for f32, at offset 16",
        'bytes_3 = "ab"': "Limits.bytes_3: the field takes a length of exactly 3, at offset 20",
        "number = String.make 33 'x'": "Limits.number: the field takes a length of exactly 32, at offset 23",
        "pair = [| 1 |]": "Limits.pair: the field takes a length of exactly 2, at offset 56",
        "pair = [| 1; 40_000 |]": "Limits.pair: the value is out of range for i16, at offset 58",
        'text = "abcdef"': "Limits.text: a count over the capacity of 5, at offset 60",
        'text = "ab\\xc3"': "Limits.text: text that is not UTF-8, at offset 70",
        'text = "\\xed\\xa0\\x80"': "Limits.text: text that is not UTF-8, at offset 68",
        'data = "abc"': "Limits.data: a count over the capacity of 2, at offset 74",
        'items = Array.make 4 "ab"': "Limits.items: a count over the capacity of 3, at offset 84",
        'items = [| "ab"; "" |]': "Limits.items: the field takes a length of exactly 2, at offset 94",
    }
    good = {
        "all of it at once": "ok",
        "an_f32 = infinity": "ok",
        "an_f32 = neg_infinity": "ok",
        "an_f32 = 3.4028235e38": "ok",
        "an_i8 = -128": "ok",
        "a_u32 = 0xffff_ffff": "ok",
        'text = "\\u{20ac}ab"': "ok",
    }
    lines = "\n".join(
        f"  show {{ right with {change} }};" if "=" in change else "  show right;"
        for change in [*attempts, *good]
    )
    program = f"""
open Limits.Limits
let right = {{
  a_u8 = 255; a_u16 = 65535; a_u32 = 7; an_i8 = 127; an_i16 = -32768; an_i32 = 5; an_f32 = 1.5;
  bytes_3 = "abc"; number = String.make 32 '\\255'; pair = [| 1; 2 |];
  text = "abcde"; data = "ab"; items = [| "ab"; "cd" |] }}
let show value =
  let frame = Result.map (fun _ -> ()) (to_frame value) in
  match encode value with
  | Ok payload ->
    if frame <> Ok () || not (Result.fold ~ok:(equal value) ~error:(fun _ -> false) (decode payload))
    then print_endline "differs" else print_endline "ok"
  | Error error ->
    if frame <> Error error then print_endline "differs";
    print_endline (Limits.error_to_string error)
let () =
{lines}
  ()
"""
    assert run(program) == [*attempts.values(), *good.values()]


def test_rules_are_checked_by_validate_alone_and_in_order(run: Run) -> None:
    attempts = {
        "part = 1.0": "ok",
        "ratio = 0.1": "ok",  # as the f32 that goes on the wire, which the limit is as well
        "ratio = nan": "Rules.ratio: the value breaks the rule min: 0.1",
        "ratio = 0.91": "Rules.ratio: the value breaks the rule max: 0.89999",
        "big = 0x8000_0000_0000_0005L": "ok",
        "big = -1L": "Rules.big: the value breaks the rule max: 9223372036854775813",
        "huge = { high = 0L; low = -1L }": "Rules.huge: the value breaks the rule min: 18446744073709551616",
        "huge = { high = -1L; low = 0L }": "ok",
        "deep = { high = 0L; low = 0L }": "Rules.deep: the value breaks the rule max: -1",
        "money = String.make 32 '\\000'": "Rules.money: the value breaks the rule min: ",
        "signed = -5L": "ok",
        "signed = Int64.min_int": "Rules.signed: the value breaks the rule min: -5",
        "part = 0.0": "Rules.part: the value breaks the rule not_zero",
        "part = -0.0": "ok",
        "part = 1e-320": "ok",
        'name = "0X"': "Rules.name: the value breaks the rule no_0x_prefix",
        'name = ""': "Rules.name: the value breaks the rule not_empty",
        "ids = [||]": "Rules.ids: the value breaks the rule min_length: 1",
        "ids = [| 0; 0 |]": "Rules.ids: the value breaks the rule not_zero",
        'signed = -6L; name = "0x"': "Rules.signed: the value breaks the rule min: -5",
    }
    lines = "\n".join(f"  show {{ right with {change} }};" for change in attempts)
    program = f"""
open Limits.Rules
let right = {{
  ratio = 0.5; big = 5L; huge = {{ high = 1L; low = 0L }}; deep = {{ high = -1L; low = -1L }};
  money = String.make 32 '\\001'; signed = 0L; part = 2.0; name = "x"; ids = [| 0; 1 |] }}
let show value =
  (match encode value with Ok _ -> () | Error error -> print_endline (Limits.error_to_string error));
  match validate value with
  | Ok () -> print_endline "ok"
  | Error error -> print_endline (Limits.error_to_string error)
let () =
{lines}
  ()
"""
    printed = run(program)
    assert len(printed) == len(attempts)
    for line, (change, expected) in zip(printed, attempts.items(), strict=True):
        assert line.startswith(expected), change


def test_no_bits_of_a_single_precision_nan_are_lost(run: Run) -> None:
    program = """
let patterns = [ 0x7f800001; 0x7fa00000; 0x7fc00000; 0x7fffffff; 0xff800001; 0xffc12345; 0x7f800000;
                 0xff800000; 0x80000000; 1; 0x007fffff; 0x7f7fffff; 0x3dcccccd ]
let payload bits =
  let bytes = Bytes.make 160 '\\000' in
  Bytes.set_int32_le bytes 16 (Int32.of_int bits); bytes
let float_bits bits =
  match Limits.Limits.decode (Bytes.sub (payload bits) 0 Limits.Limits.size) with
  | Error error -> failwith (Limits.error_to_string error)
  | Ok value ->
    match Limits.Limits.encode value with
    | Error error -> failwith (Limits.error_to_string error)
    | Ok again -> Printf.printf "%08lx %b\\n" (Bytes.get_int32_le again 16) (Float.is_nan value.an_f32)
let () =
  List.iter float_bits patterns;
  (* A payload that single precision has no bits for must not become an infinity. *)
  match Limits.Limits.decode (Bytes.sub (payload 0) 0 Limits.Limits.size) with
  | Error _ -> ()
  | Ok value ->
    match Limits.Limits.encode { value with an_f32 = Int64.float_of_bits 0x7ff0_0000_0000_0001L } with
    | Ok again -> Printf.printf "%08lx\\n" (Bytes.get_int32_le again 16)
    | Error _ -> ()
"""
    patterns = ["7f800001", "7fa00000", "7fc00000", "7fffffff", "ff800001", "ffc12345"]
    numbers = ["7f800000", "ff800000", "80000000", "00000001", "007fffff", "7f7fffff", "3dcccccd"]
    expected = [f"{each} true" for each in patterns] + [f"{each} false" for each in numbers]
    assert run(program) == [*expected, "7fc00000"]


def test_a_confidential_message_shows_no_value(run: Run) -> None:
    program = """
open Messages.Arbitrage_signal
let signal = {
  opportunity_id = 424242L; path = [| String.make 20 'S' |]; estimated_profit_usd = -1.0;
  gas_estimate_wei = String.make 32 'S'; deadline_block = 424242L }
let () =
  print_endline (to_string signal);
  Format.printf "%a@." pp signal;
  print_endline (Messages.to_string (Arbitrage_signal signal));
  let show = function
    | Ok () -> print_endline "ok"
    | Error error -> print_endline (Messages.error_to_string error)
  in
  show (validate signal);
  show (validate { signal with path = [| ""; "" |] });
  show (Result.map ignore (encode { signal with path = [| "SSSS" |] }));
  show (Result.map ignore (encode { signal with path = Array.make 424242 "" }))
"""
    printed = run(program)
    assert printed == [
        *(["ArbitrageSignal <confidential>"] * 3),
        "ArbitrageSignal.path: the value breaks the rule min_length: 2, at offset 8",
        "ArbitrageSignal.estimated_profit_usd: the value breaks the rule min: 0.0, at offset 96",
        "ArbitrageSignal.path: the field takes a length of exactly 20, at offset 16",
        "ArbitrageSignal.path: a count over the capacity of 4, at offset 8",
    ]


def test_frames_are_written_to_and_decoded_from_a_larger_buffer(run: Run) -> None:
    program = """
open Messages.Trade_tick
let show = function
  | Ok _ -> print_endline "ok"
  | Error error -> print_endline (Messages.error_to_string error)
let () =
  let tick = { price = 1L; size = 2L } and buffer = Bytes.make 50 'x' in
  (match write_frame tick buffer ~pos:3 with
   | Ok next -> Printf.printf "%d %c%c\\n" next (Bytes.get buffer 2) (Bytes.get buffer next)
   | Error _ -> ());
  Printf.printf "%b\\n" (decode_sub buffer ~pos:9 ~len:16 = Ok tick);
  List.iter (fun pos -> show (write_frame tick buffer ~pos)) [ 28; 29; -1; 50; max_int; min_int ];
  List.iter
    (fun (pos, len) -> show (decode_sub buffer ~pos ~len))
    [ (34, 16); (35, 16); (-1, 16); (max_int, 16); (0, max_int); (16, -16); (min_int, min_int); (0, 15) ];
  let ping = Bytes.cat (Bytes.make 4 ' ') (Bytes.make Messages.Ping.size '\\000') in
  Bytes.set_uint16_le ping 4 1;
  Bytes.set ping 12 '\\255';
  show (Messages.Ping.decode_sub ping ~pos:4 ~len:Messages.Ping.size)
"""
    outside = "TradeTick: the bytes do not lie within the buffer, at offset 0"
    assert run(program) == [
        "25 xx",
        "true",
        *("ok", outside, outside, outside, outside, outside),
        *("ok", outside, outside, outside, outside, outside, outside),
        "TradeTick: a payload of 15 bytes where the message has 16, at offset 0",
        "Ping.value: text that is not UTF-8, at offset 8",
    ]


def test_headers_are_read_with_a_limit(run: Run) -> None:
    program = """
open Messages
let show = function
  | Header { type_id; length } -> Printf.printf "header %d %d\\n" type_id length
  | Partial_header -> print_endline "partial"
  | Over_limit { type_id; length } -> Printf.printf "over %d %d\\n" type_id length
let header type_id length =
  let bytes = Bytes.create 6 in
  Bytes.set_uint16_le bytes 0 type_id;
  Bytes.set_int32_le bytes 2 (Int32.of_int length);
  bytes
let () =
  show (read_header (header 65535 16) ~pos:0 ~len:6);
  show (read_header (header 1 16_777_216) ~pos:0 ~len:6);
  show (read_header (header 1 16_777_217) ~pos:0 ~len:6);
  show (read_header (header 1 0xffff_ffff) ~pos:0 ~len:6);
  show (read_header ~limit:15 (header 1 16) ~pos:0 ~len:6);
  show (read_header (header 1 16) ~pos:0 ~len:5);
  show (read_header (header 1 16) ~pos:6 ~len:0);
  List.iter
    (fun (pos, len) ->
      match read_header (header 1 16) ~pos ~len with
      | exception Invalid_argument text -> print_endline text
      | found -> show found)
    [ (1, 6); (-1, 6); (0, -1) ]
"""
    outside = "read_header: the bytes do not lie within the buffer"
    assert run(program) == [
        "header 65535 16",
        "header 1 16777216",
        "over 1 16777217",
        "over 1 4294967295",
        *("over 1 16", "partial", "partial", outside, outside, outside),
    ]


def test_a_handshake_of_other_contracts_is_refused_with_both_digests(run: Run) -> None:
    ours = contracts.load(CONTRACTS).digest.hex()
    program = """
let show text =
  match Messages.check_handshake (Bytes.of_string text) with
  | Ok () -> print_endline "ok"
  | Error text -> print_endline text
let () =
  print_endline Messages.digest_hex;
  show Messages.handshake;
  show ("\\032\\000" ^ String.make 32 '\\171');
  show "";
  show ("\\033\\000" ^ Messages.digest);
  show (Messages.handshake ^ "x")
"""
    digest, same, other, *sizes = run(program)
    assert (digest, same) == (ours, "ok")
    assert "ab" * 32 in other
    assert ours in other
    assert [re.search(r"but (\d+) bytes", line)[1] for line in sizes] == ["0", "34", "35"]  # type: ignore[index]


def test_any_message_is_decoded_by_its_type_id(run: Run) -> None:
    program = """
let () =
  let tick : Messages.Trade_tick.t = { price = 3L; size = 4L } in
  let message : Messages.message = Trade_tick tick in
  (match Messages.encode message with
   | Ok payload ->
     Printf.printf "%b\\n" (Messages.decode_any ~type_id:1200 payload = Ok message);
     List.iter
       (fun type_id ->
         match Messages.decode_any ~type_id payload with
         | Ok other -> print_endline (Messages.to_string other)
         | Error error -> print_endline (Messages.error_to_string error))
       [ 1202; 7; -1 ]
   | Error _ -> ());
  Printf.printf "%d %b %b\\n" (Messages.type_id message)
    (Messages.equal message (Trade_tick { tick with size = 4L }))
    (Messages.equal message (Ping { value = "" }));
  List.iter (fun (module Each : Messages.Message) -> Printf.printf "%s " Each.name) Messages.messages
"""
    names = [each.name for each in contracts.load(CONTRACTS).messages]
    assert run(program) == [
        "true",
        "Order: a payload of 16 bytes where the message has 72, at offset 0",
        *(f"contracts: no message has the type id {number}, at offset 0" for number in (7, -1)),
        "1200 true false",
        "".join(f"{name} " for name in names),
    ]


def test_no_bytes_make_decoding_raise_and_what_decodes_encodes_to_the_same(run: Run) -> None:
    """100,000 payloads: a few bytes at random in zeros, or in what decoded before."""
    program = """
module type Schema = sig
  type error
  type message
  val error_to_string : error -> string
  val decode_any : type_id:int -> bytes -> (message, error) result
  val encode : message -> (bytes, error) result
  val validate : message -> (unit, error) result
  val to_string : message -> string
  val equal : message -> message -> bool
end

let decoded = ref 0 and refused = ref 0 and against_rules = ref 0

let fuzz (module S : Schema) shapes rounds =
  let trouble = [| 0; 1; 2; 5; 0x7f; 0x80; 0xc3; 0xe2; 0xed; 0xf0; 0xf4; 0xff |] in
  List.iter (fun (type_id, size) ->
    let start = ref (Bytes.make size '\\000') in
    for round = 1 to rounds do
      let bytes = if round land 1 = 0 then Bytes.copy !start else Bytes.make size '\\000' in
      if size > 0 then
        for _ = 0 to Random.int 8 do
          Bytes.set_uint8 bytes (Random.int size)
            (if Random.bool () then Random.int 256 else trouble.(Random.int (Array.length trouble)))
        done;
      let bytes = if Random.int 50 = 0 then Bytes.sub bytes 0 (Random.int (size + 1)) else bytes in
      match S.decode_any ~type_id bytes with
      | Error error -> incr refused; ignore (S.error_to_string error)
      | Ok message ->
        incr decoded;
        start := bytes;
        (match S.validate message with
         | Ok () -> ()
         | Error error -> incr against_rules; ignore (S.error_to_string error));
        if round mod 16 = 0 then ignore (S.to_string message);
        match S.encode message with
        | Error error -> failwith (S.error_to_string error)
        | Ok payload ->
          match S.decode_any ~type_id payload with
          | Ok again when S.equal message again && S.encode again = Ok payload -> ()
          | _ -> failwith (S.to_string message ^ " is not itself after a round trip")
    done) shapes

let torture = List.map (fun (module M : Torture.Message) -> (M.type_id, M.size)) Torture.messages
let market = List.map (fun (module M : Market.Message) -> (M.type_id, M.size)) Market.messages
let limits = List.map (fun (module M : Limits.Message) -> (M.type_id, M.size)) Limits.messages

let () =
  Random.init 5;
  let each = 1 + 100_000 / (List.length torture + List.length market + List.length limits) in
  fuzz (module Torture) torture each;
  fuzz (module Market) market each;
  fuzz (module Limits) limits each;
  Printf.printf "%b %b %b %b\\n" (!decoded + !refused >= 100_000) (!decoded > 20_000) (!refused > 5_000)
    (!against_rules > 1_000)
"""
    assert run(program) == ["true true true true"]


@ocaml
@pytest.mark.parametrize("name", ["torture", "examples", "empty", "taken"])
def test_generated_code_has_no_warning_and_is_the_same_in_bytecode(name: str, tmp_path: Path) -> None:
    source = DATA / f"{name}.yaml"
    if name == "empty":
        source = tmp_path / "empty.yaml"
        source.write_text("messages: {}\n")
    elif name == "taken":  # constructors and modules of the file itself, and of the standard library
        source = tmp_path / "taken.yaml"
        template = template_dir().joinpath("messages.ml.j2").read_text()
        own = re.findall(r"(?:^ *\||module(?: type)?) ([A-Z]\w*)(?= |$)", template, re.MULTILINE)
        assert {"Over_limit", "Wrong_size", "Message", "CODEC"} <= set(own)
        library = ("Some", "None", "Ok", "Error", "Stdlib", "Bytes", "Buffer", "Fault", "Shape")
        source.write_text(schema({each: {"high": "u128", "t": "Vec<bool>"} for each in (*own, *library)}))
    generate(source, tmp_path / f"{name}.ml")
    module = name.capitalize()
    (tmp_path / "main.ml").write_text(
        f"""
let () =
  List.iter
    (fun (module M : {module}.Message) ->
      match M.decode (Bytes.make M.size '\\000') with
      | Ok message -> print_endline (M.to_string message)
      | Error error -> print_endline ({module}.error_to_string error))
    {module}.messages;
  print_endline {module}.digest_hex
"""
    )
    outputs = []
    for compiler in ("ocamlopt", "ocamlc"):
        compiled(tmp_path, *STRICT, "-principal", "-o", compiler, f"{name}.ml", "main.ml", compiler=compiler)
        outputs.append(checked(tmp_path / compiler, cwd=tmp_path))
    assert outputs[0] == outputs[1]
    assert outputs[0].count("\n") == 1 + len(contracts.load(source).messages)


@ocaml
def test_more_messages_than_a_type_can_have_constructors_compile(tmp_path: Path) -> None:
    many = {f"Message{number}": {"value": "u8"} for number in range(247)}
    (tmp_path / "many.yaml").write_text(schema(many))
    generate(tmp_path / "many.yaml", tmp_path / "many.ml")
    (tmp_path / "main.ml").write_text(
        """
let () =
  match Many.decode_any ~type_id:247 (Bytes.make 1 '\\007') with
  | Ok (Many.Message246 message) -> Printf.printf "%d\\n" message.value
  | _ -> print_endline "another"
"""
    )
    compiled(tmp_path, *STRICT, "-c", "many.ml", compiler="ocamlc")
    compiled(tmp_path, *WARNINGS, "-o", "main", "many.cmo", "main.ml", compiler="ocamlc")
    assert checked(tmp_path / "main", cwd=tmp_path) == "7\n"


def test_names_are_idiomatic_valid_and_apart(tmp_path: Path) -> None:
    fields = "type,val,val_,effect,_,Self,self,poolAddress,pool_address,t,contents,x_"
    names = "FooBar,Foo_bar,fooBar,foo_bar,Stdlib,_,__x,M__x,Bytes,HTTPServer,ok"
    messages: dict[str, Any] = {name: {} for name in names.split(",")}
    messages["Fields"] = dict.fromkeys(fields.split(","), "u8")
    (tmp_path / "names.yaml").write_text(schema(messages))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ContractWarning)
        model = contracts.load(tmp_path / "names.yaml")
    assert modules(model) == {
        "FooBar": "Foo_bar_",
        "Foo_bar": "Foo_bar",  # as it stands
        "fooBar": "Foo_bar__",
        "foo_bar": "Foo_bar___",
        "Stdlib": "Stdlib_",
        "_": "M_",
        "__x": "M__x_",
        "M__x": "M__x",
        "Bytes": "Bytes",
        "HTTPServer": "Http_server",
        "ok": "Ok",
        "Fields": "Fields",
    }
    assert labels(model.messages[-1]) == {
        "type": "type_",
        "val": "val__",
        "val_": "val_",  # as it stands
        "effect": "effect_",
        "_": "__",
        "Self": "self_",
        "self": "self",
        "poolAddress": "pool_address_",
        "pool_address": "pool_address",
        "t": "t",
        "contents": "contents",
        "x_": "x_",
    }


@ocaml
def test_descriptions_end_no_comment_and_begin_none(tmp_path: Path) -> None:
    texts = [
        '*) let () = exit 9 (* "',
        "(* never closed",
        '"',
        "'\"'",
        "{|",
        "{id|",
        "{%ext|",
        "\\{|",
        "'\\''",
        "(*)",
    ]
    body = {
        f"Text{number}": {
            "tlv_type": number,
            "domain": text,
            "description": text,
            "fields": {"a": {"type": "u8", "description": text, "validation": [{text: True}]}},
        }
        for number, text in enumerate(texts, 1)
    }
    (tmp_path / "texts.yaml").write_text(json.dumps({"messages": body}))
    generate(tmp_path / "texts.yaml", tmp_path / "texts.ml")
    (tmp_path / "main.ml").write_text(
        "let () = List.iter (fun (module M : Texts.Message) -> print_endline M.topic) Texts.messages\n"
    )
    compiled(tmp_path, *STRICT, "-o", "main", "texts.ml", "main.ml")
    assert checked(tmp_path / "main", cwd=tmp_path).splitlines() == [text.lower() for text in texts]


def test_the_snippets_of_the_documentation_run(run: Run) -> None:
    text = (ROOT / "docs" / "ocaml.md").read_text(encoding="utf-8")
    snippets = re.findall(r"^```ocaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    printed = run("\n".join([*snippets, "let () = handle 1200 (Bytes.make 16 '\\001')\n"]))
    assert len(snippets) > 3
    assert "TradeTick { price = 101500, size = 2500 }" in printed
    assert "Ping.value at 0 holds 64 bytes" in printed
    assert printed[-1] == "price 72340172838076673"


@ocaml
def test_the_example_sends_and_receives_over_a_bridge(tmp_path: Path) -> None:
    generate(CONTRACTS, tmp_path / "messages.ml")
    shutil.copy(ROOT / "examples" / "ocaml" / "ticker.ml", tmp_path)
    compiled(tmp_path, "-I", "+unix", *WARNINGS, "-o", "ticker", "unix.cmxa", "messages.ml", "ticker.ml")
    bridge = Bridge(tmp_path / "bus.sock")
    try:
        printed = checked(tmp_path / "ticker", tmp_path / "bus.sock", cwd=tmp_path).splitlines()
    finally:
        bridge.close()
    assert printed == [f"TradeTick {{ price = {101_500 + number}, size = 2500 }}" for number in range(1, 11)]
