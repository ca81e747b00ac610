(* Generated from contracts.yaml by mycelium-fast, do not edit. *)
(* sha256 63d26a783f134bb35f2581697789af4fb045a742730dd6a84d6e0d4d490c11b9 *)

(** Messages of contracts.yaml as OCaml records; needs nothing but the standard library.

    Every message has a module with its record type and with what the signature [Message] says.
    [int64] holds the bits of [u64] as well as of [i64]: compare those with
    [Int64.unsigned_compare] and print them with [%Lu]. *)

(** A 128-bit integer, signed or not: its halves, of which [low] has no sign. *)
type int128 = { high : int64; low : int64 }

(** What is wrong. No reason holds a value of a message. *)
type reason =
  | Unknown_type of int  (** no message of this schema has that type id *)
  | Wrong_size of { expected : int; actual : int }  (** a payload of another size *)
  | Outside_buffer  (** a range of bytes that does not lie within the buffer *)
  | Over_capacity of int  (** more bytes or elements than that, in a count or in a value *)
  | Wrong_length of int  (** a value of not exactly so many bytes or elements *)
  | Out_of_range of string  (** a number that this type of the contract cannot hold *)
  | Not_utf8
  | Not_bool  (** a byte that is neither 0 nor 1 *)
  | Broken_rule of { rule : string; limit : string option }  (** a rule of the contract *)

(** Where it is wrong: names as the contract has them, the offset in bytes from the payload's start.
    [field] is [None] where the whole message is meant. *)
type error = { message : string; field : string option; offset : int; reason : reason }

let reason_to_string = function
  | Unknown_type type_id -> Stdlib.Printf.sprintf "no message has the type id %d" type_id
  | Wrong_size { expected; actual } ->
      Stdlib.Printf.sprintf "a payload of %d bytes where the message has %d" actual expected
  | Outside_buffer -> "the bytes do not lie within the buffer"
  | Over_capacity capacity -> Stdlib.Printf.sprintf "a count over the capacity of %d" capacity
  | Wrong_length expected -> Stdlib.Printf.sprintf "the field takes a length of exactly %d" expected
  | Out_of_range kind -> Stdlib.Printf.sprintf "the value is out of range for %s" kind
  | Not_utf8 -> "text that is not UTF-8"
  | Not_bool -> "a bool that is neither 0 nor 1"
  | Broken_rule { rule; limit = None } ->
      Stdlib.Printf.sprintf "the value breaks the rule %s" rule
  | Broken_rule { rule; limit = Some limit } ->
      Stdlib.Printf.sprintf "the value breaks the rule %s: %s" rule limit

(** One line for people: the message, the field, what is wrong, and the offset. *)
let error_to_string error =
  let place =
    match error.field with None -> error.message | Some field -> error.message ^ "." ^ field
  in
  Stdlib.Printf.sprintf "%s: %s, at offset %d" place (reason_to_string error.reason) error.offset

(** What every message has. Nothing here raises an exception on whatever bytes or values. *)
module type Message = sig
  type t

  val name : string
  (** as the contract has it *)

  val type_id : int
  val topic : string

  val size : int
  (** of the payload, in bytes *)

  val align : int
  (** of the payload as a C struct, in bytes *)

  val frame_size : int
  (** of header and payload, in bytes *)

  val buffer_class : int
  (** [frame_size] rounded up to a power of two, at least 128 *)

  val confidential : bool
  (** whether nothing that is printed may show a value *)

  val encode : t -> (bytes, error) result
  (** The payload: [size] bytes, zeros in padding and unused capacity. An error where a value does not
      fit its field; rules are left to [validate]. *)

  val to_frame : t -> (bytes, error) result
  (** Header and payload: [frame_size] bytes. *)

  val write_frame : t -> bytes -> pos:int -> (int, error) result
  (** Writes the frame into a buffer and gives the position after it. After an error what stands at
      [pos] and the [frame_size] bytes from there is not to be used. *)

  val decode : bytes -> (t, error) result
  (** A message from a payload of exactly [size] bytes, checked: counts, bools and UTF-8. Rules are left
      to [validate]. *)

  val decode_sub : bytes -> pos:int -> len:int -> (t, error) result
  (** The same from the [len] bytes at [pos] of a buffer; offsets of errors count from [pos]. *)

  val validate : t -> (unit, error) result
  (** Whether the values keep the rules of the contract: the first that does not. *)

  val equal : t -> t -> bool
  (** Field by field; floats by their bits, so that a NaN equals itself. *)

  val to_string : t -> string
  (** For people, on one line. *)

  val pp : Stdlib.Format.formatter -> t -> unit
end

let () =
  if Stdlib.Sys.int_size < 63 then
    Stdlib.failwith "contracts: generated messages need a 64-bit host, where an int has 63 bits"

(** SHA-256 over the bytes of the contracts file: 32 bytes. *)
let digest = "c\210jx?\019K\179_%\129iw\137\175O\176E\167Bs\013\214\168Mn\013MI\012\017\185"

(** The same as 64 hexadecimal digits. *)
let digest_hex = "63d26a783f134bb35f2581697789af4fb045a742730dd6a84d6e0d4d490c11b9"

(** The bytes of a frame before its payload: type id and length. *)
let header_size = 6

(** The longest payload that is accepted, in bytes. *)
let max_payload = 16_777_216

(** What a client sends first: the digest after its length, 34 bytes. *)
let handshake = "\032\000" ^ digest

(** Whether the 34 bytes that a peer sent are the handshake of this schema; if not, a text that says why. *)
let check_handshake bytes =
  let hexadecimal text =
    let digit octet = Stdlib.Printf.sprintf "%02x" (Stdlib.Char.code octet) in
    Stdlib.String.concat "" (Stdlib.List.map digit (Stdlib.List.of_seq (Stdlib.String.to_seq text)))
  in
  let received = Stdlib.Bytes.to_string bytes in
  let size = Stdlib.String.length received in
  if Stdlib.String.equal received handshake then Stdlib.Ok ()
  else if size <> 34 || Stdlib.String.sub received 0 2 <> "\032\000" then
    Stdlib.Error
      (Stdlib.Printf.sprintf
         "the handshake is not 34 bytes with a digest of 32, but %d bytes; does the peer expect one?" size)
  else
    Stdlib.Error
      (Stdlib.Printf.sprintf
         "the peer has other contracts: its digest is %s, this schema's is %s; generate the code of both \
          from the same contracts file"
         (hexadecimal (Stdlib.String.sub received 2 32))
         digest_hex)

(** What {!read_header} finds. *)
type header =
  | Header of { type_id : int; length : int }  (** a payload of [length] bytes follows *)
  | Partial_header  (** fewer than {!header_size} bytes are there *)
  | Over_limit of { type_id : int; length : int }
      (** a longer payload than the limit is announced: close the connection, allocate nothing *)

(** The header of the frame that begins at [pos], of which [len] bytes are there.
    @raise Invalid_argument where those do not lie within the buffer. *)
let read_header ?(limit = max_payload) bytes ~pos ~len =
  if pos < 0 || len < 0 || pos > Stdlib.Bytes.length bytes - len then
    Stdlib.invalid_arg "read_header: the bytes do not lie within the buffer"
  else if len < header_size then Partial_header
  else
    let type_id = Stdlib.Bytes.get_uint16_le bytes pos in
    let length =
      Stdlib.Int32.to_int (Stdlib.Bytes.get_int32_le bytes (pos + 2)) land ((1 lsl 32) - 1)
    in
    if length > limit then Over_limit { type_id; length } else Header { type_id; length }

(**/**)

(* What the messages below are made of. Not every schema needs all of it. *)
open struct
  [@@@warning "-32-33-60"]

  module CODEC = struct
    (* How one type of the contract is read, written, compared and printed. [read] and [write] are given
       positions of which their caller knows that [size] bytes follow; [write] finds zeros there. *)
    type 'a kind = {
      size : int;
      read : bytes -> int -> 'a;
      write : bytes -> int -> 'a -> unit;
      equal : 'a -> 'a -> bool;
      is_zero : 'a -> bool; (* whether the bytes on the wire are zeros, so that -0.0 is not *)
      print : Stdlib.Buffer.t -> 'a -> unit;
    }

    (* What is wrong, and at which position of the buffer. Never leaves this file. *)
    exception Fault of int * reason

    let fail position reason = Stdlib.raise_notrace (Fault (position, reason))
    let read kind = kind.read
    let write kind = kind.write
    let equal kind = kind.equal
    let is_zero kind = kind.is_zero
    let print_field kind out name value =
      Stdlib.Buffer.add_string out name;
      Stdlib.Buffer.add_string out " = ";
      kind.print out value

    let broken offset rule limit = fail offset (Broken_rule { rule; limit })

    (* Said here, since a message may be called as one of these constructors. *)
    let unknown type_id =
      let reason = Unknown_type type_id in
      Stdlib.Error { message = "contracts"; field = Stdlib.Option.none; offset = 0; reason }

    (* Integers *)

    let small name size low high read write =
      {
        size;
        read;
        write =
          (fun bytes at value ->
            if value < low || value > high then fail at (Out_of_range name);
            write bytes at value);
        equal = Stdlib.Int.equal;
        is_zero = (fun value -> value = 0);
        print = (fun out value -> Stdlib.Buffer.add_string out (Stdlib.string_of_int value));
      }

    let read_i32 bytes at = Stdlib.Int32.to_int (Stdlib.Bytes.get_int32_le bytes at)
    let read_u32 bytes at = read_i32 bytes at land ((1 lsl 32) - 1)
    let write_32 bytes at value = Stdlib.Bytes.set_int32_le bytes at (Stdlib.Int32.of_int value)
    let u8 = small "u8" 1 0 0xff Stdlib.Bytes.get_uint8 Stdlib.Bytes.set_uint8
    let u16 = small "u16" 2 0 0xffff Stdlib.Bytes.get_uint16_le Stdlib.Bytes.set_uint16_le
    let u32 = small "u32" 4 0 ((1 lsl 32) - 1) read_u32 write_32
    let i8 = small "i8" 1 (-0x80) 0x7f Stdlib.Bytes.get_int8 Stdlib.Bytes.set_int8
    let i16 = small "i16" 2 (-0x8000) 0x7fff Stdlib.Bytes.get_int16_le Stdlib.Bytes.set_int16_le
    let i32 = small "i32" 4 (-(1 lsl 31)) ((1 lsl 31) - 1) read_i32 write_32

    let wide print =
      {
        size = 8;
        read = Stdlib.Bytes.get_int64_le;
        write = Stdlib.Bytes.set_int64_le;
        equal = Stdlib.Int64.equal;
        is_zero = (fun value -> Stdlib.Int64.equal value 0L);
        print;
      }

    let u64 = wide (fun out value -> Stdlib.Printf.bprintf out "%Lu" value)
    let i64 = wide (fun out value -> Stdlib.Printf.bprintf out "%Ld" value)
    let less_u64 a b = Stdlib.Int64.unsigned_compare a b < 0
    let less_i64 a b = Stdlib.Int64.compare a b < 0
    let int128 high low = { high; low }

    let u128 =
      {
        size = 16;
        read =
          (fun bytes at ->
            { high = Stdlib.Bytes.get_int64_le bytes (at + 8); low = Stdlib.Bytes.get_int64_le bytes at });
        write =
          (fun bytes at value ->
            Stdlib.Bytes.set_int64_le bytes at value.low;
            Stdlib.Bytes.set_int64_le bytes (at + 8) value.high);
        equal = (fun a b -> Stdlib.Int64.equal a.high b.high && Stdlib.Int64.equal a.low b.low);
        is_zero = (fun value -> Stdlib.Int64.equal (Stdlib.Int64.logor value.high value.low) 0L);
        print = (fun out value -> Stdlib.Printf.bprintf out "0x%016Lx%016Lx" value.high value.low);
      }

    let i128 = u128
    let less_u128 a b = less_u64 a.high b.high || (Stdlib.Int64.equal a.high b.high && less_u64 a.low b.low)
    let less_i128 a b = less_i64 a.high b.high || (Stdlib.Int64.equal a.high b.high && less_u64 a.low b.low)

    (* Floats. The bits of a NaN are kept: of those in single precision by hand, because conversions in
       hardware make a quiet NaN of a signalling one. *)

    let f64 =
      {
        size = 8;
        read = (fun bytes at -> Stdlib.Int64.float_of_bits (Stdlib.Bytes.get_int64_le bytes at));
        write = (fun bytes at value -> Stdlib.Bytes.set_int64_le bytes at (Stdlib.Int64.bits_of_float value));
        equal =
          (fun a b -> Stdlib.Int64.equal (Stdlib.Int64.bits_of_float a) (Stdlib.Int64.bits_of_float b));
        is_zero = (fun value -> Stdlib.Int64.equal (Stdlib.Int64.bits_of_float value) 0L);
        print = (fun out value -> Stdlib.Printf.bprintf out "%.17g" value);
      }

    let f32_of_bits bits =
      if bits land 0x7f80_0000 = 0x7f80_0000 && bits land 0x007f_ffff <> 0 then
        let infinity = if bits lsr 31 = 1 then 0xfff0_0000_0000_0000L else 0x7ff0_0000_0000_0000L in
        let payload = Stdlib.Int64.of_int ((bits land 0x007f_ffff) lsl 29) in
        Stdlib.Int64.float_of_bits (Stdlib.Int64.logor infinity payload)
      else Stdlib.Int32.float_of_bits (Stdlib.Int32.of_int bits)

    let f32_bits value =
      if Stdlib.Float.is_nan value then
        let bits = Stdlib.Int64.bits_of_float value in
        let part first mask = Stdlib.Int64.to_int (Stdlib.Int64.shift_right_logical bits first) land mask in
        let kept = part 29 0x007f_ffff in
        (* A payload in the lowest bits alone would be lost, and with it that this is a NaN. *)
        (part 63 1 lsl 31) lor 0x7f80_0000 lor if kept = 0 then 0x0040_0000 else kept
      else Stdlib.Int32.to_int (Stdlib.Int32.bits_of_float value) land ((1 lsl 32) - 1)

    let rounded value = f32_of_bits (f32_bits value)

    let f32 =
      {
        size = 4;
        read = (fun bytes at -> f32_of_bits (read_u32 bytes at));
        write =
          (fun bytes at value ->
            let bits = f32_bits value in
            if bits land 0x7fff_ffff = 0x7f80_0000 && Stdlib.Float.abs value <> Stdlib.infinity then
              fail at (Out_of_range "f32");
            write_32 bytes at bits);
        equal = (fun a b -> f32_bits a = f32_bits b);
        is_zero = (fun value -> f32_bits value = 0);
        print = (fun out value -> Stdlib.Printf.bprintf out "%.9g" value);
      }

    (* Bools *)

    let bool =
      {
        size = 1;
        read =
          (fun bytes at ->
            match Stdlib.Bytes.get_uint8 bytes at with 0 -> false | 1 -> true | _ -> fail at Not_bool);
        write = (fun bytes at value -> Stdlib.Bytes.set_uint8 bytes at (Stdlib.Bool.to_int value));
        equal = Stdlib.Bool.equal;
        is_zero = not;
        print = (fun out value -> Stdlib.Buffer.add_string out (Stdlib.string_of_bool value));
      }

    (* Bytes and text *)

    let only_zeros text =
      let rec from index =
        index = Stdlib.String.length text
        || (Stdlib.Char.code (Stdlib.String.get text index) = 0 && from (index + 1))
      in
      from 0

    let print_octets out octets =
      Stdlib.Buffer.add_string out "0x";
      Stdlib.String.iter (fun octet -> Stdlib.Printf.bprintf out "%02x" (Stdlib.Char.code octet)) octets

    let write_string bytes at value = Stdlib.Bytes.blit_string value 0 bytes at (Stdlib.String.length value)

    (* A byte array of the contract: exactly so many. *)
    let octets size =
      {
        size;
        read = (fun bytes at -> Stdlib.Bytes.sub_string bytes at size);
        write =
          (fun bytes at value ->
            if Stdlib.String.length value <> size then fail at (Wrong_length size);
            write_string bytes at value);
        equal = Stdlib.String.equal;
        is_zero = only_zeros;
        print = print_octets;
      }

    let read_count bytes at capacity =
      let count = Stdlib.Bytes.get_uint16_le bytes at in
      if count > capacity then fail at (Over_capacity capacity);
      count

    let write_count bytes at count capacity =
      if count > capacity then fail at (Over_capacity capacity);
      Stdlib.Bytes.set_uint16_le bytes at count

    (* The index of the first byte that is not valid UTF-8 (Unicode, table 3-7), or the text's size. *)
    let utf8_span text =
      let size = Stdlib.String.length text in
      let octet index = Stdlib.Char.code (Stdlib.String.get text index) in
      let rec span index =
        if index = size then size
        else
          let lead = octet index in
          if lead < 0x80 then span (index + 1)
          else
            let more =
              if lead < 0xc2 || lead > 0xf4 then 0 else if lead < 0xe0 then 1 else if lead < 0xf0 then 2 else 3
            in
            (* Else overlong; else a surrogate, or above U+10FFFF. *)
            let low = if lead = 0xe0 then 0xa0 else if lead = 0xf0 then 0x90 else 0x80 in
            let high = if lead = 0xed then 0x9f else if lead = 0xf4 then 0x8f else 0xbf in
            let rec follows step =
              step > more || (octet (index + step) land 0xc0 = 0x80 && follows (step + 1))
            in
            if more = 0 || size - index <= more then index
            else if octet (index + 1) < low || octet (index + 1) > high || not (follows 2) then index
            else span (index + more + 1)
      in
      span 0

    let check_utf8 text at =
      let valid = utf8_span text in
      if valid < Stdlib.String.length text then fail (at + valid) Not_utf8

    (* count: u16, six zeros, text, zeros *)
    let text ~size ~capacity =
      {
        size;
        read =
          (fun bytes at ->
            (* Copied before it is checked: another thread may write to the buffer. *)
            let text = Stdlib.Bytes.sub_string bytes (at + 8) (read_count bytes at capacity) in
            check_utf8 text (at + 8);
            text);
        write =
          (fun bytes at value ->
            write_count bytes at (Stdlib.String.length value) capacity;
            check_utf8 value (at + 8);
            write_string bytes (at + 8) value);
        equal = Stdlib.String.equal;
        is_zero = only_zeros;
        print = (fun out value -> Stdlib.Printf.bprintf out "%S" value);
      }

    let has_0x_prefix text =
      Stdlib.String.length text >= 2
      && Stdlib.String.equal (Stdlib.String.lowercase_ascii (Stdlib.String.sub text 0 2)) "0x"

    (* count: u16, six zeros, bytes, zeros *)
    let octet_vec ~size ~capacity =
      {
        size;
        read = (fun bytes at -> Stdlib.Bytes.sub_string bytes (at + 8) (read_count bytes at capacity));
        write =
          (fun bytes at value ->
            write_count bytes at (Stdlib.String.length value) capacity;
            write_string bytes (at + 8) value);
        equal = Stdlib.String.equal;
        is_zero = only_zeros;
        print = print_octets;
      }

    (* Several of a kind *)

    let read_elements element bytes at count =
      Stdlib.Array.init count (fun index -> element.read bytes (at + (index * element.size)))

    let write_elements element bytes at values =
      Stdlib.Array.iteri (fun index value -> element.write bytes (at + (index * element.size)) value) values

    let equal_elements element a b =
      Stdlib.Array.length a = Stdlib.Array.length b && Stdlib.Array.for_all2 element.equal a b

    let print_elements element out values =
      Stdlib.Buffer.add_string out "[|";
      Stdlib.Array.iteri
        (fun index value ->
          if index > 0 then Stdlib.Buffer.add_string out "; ";
          element.print out value)
        values;
      Stdlib.Buffer.add_string out "|]"

    let array element ~count =
      {
        size = count * element.size;
        read = (fun bytes at -> read_elements element bytes at count);
        write =
          (fun bytes at values ->
            if Stdlib.Array.length values <> count then fail at (Wrong_length count);
            write_elements element bytes at values);
        equal = equal_elements element;
        is_zero = Stdlib.Array.for_all element.is_zero;
        print = print_elements element;
      }

    (* count: u16, zeros up to the first element, elements, zeros *)
    let vec element ~contents ~size ~capacity =
      {
        size;
        read =
          (fun bytes at -> read_elements element bytes (at + contents) (read_count bytes at capacity));
        write =
          (fun bytes at values ->
            write_count bytes at (Stdlib.Array.length values) capacity;
            write_elements element bytes (at + contents) values);
        equal = equal_elements element;
        is_zero = Stdlib.Array.for_all element.is_zero;
        print = print_elements element;
      }

    (* Messages *)

    let within bytes pos len = pos >= 0 && len >= 0 && pos <= Stdlib.Bytes.length bytes - len

    (* What is particular to one message. [fields] are names and offsets, in the contract's order;
       [check] fails with an offset in the payload for the first rule that is broken. *)
    module type SHAPE = sig
      type t

      val name : string
      val type_id : int
      val topic : string
      val size : int
      val align : int
      val buffer_class : int
      val confidential : bool
      val fields : (string * int) list
      val read : bytes -> int -> t
      val write : bytes -> int -> t -> unit
      val check : t -> unit
      val equal : t -> t -> bool
      val print : Stdlib.Buffer.t -> t -> unit
    end

    module Make (Shape : SHAPE) : Message with type t := Shape.t = struct
      include Shape

      let frame_size = header_size + size

      (* The field that an offset lies in: the last one that does not begin after it. *)
      let field_at offset =
        let begun found (field, start) = if start <= offset then Stdlib.Option.some field else found in
        Stdlib.List.fold_left begun Stdlib.Option.none fields

      let whole reason = Stdlib.Error { message = name; field = Stdlib.Option.none; offset = 0; reason }

      let guarded base work =
        match work () with
        | value -> Stdlib.Ok value
        | exception Fault (position, reason) ->
            let offset = position - base in
            Stdlib.Error { message = name; field = field_at offset; offset; reason }

      let encode value =
        let payload = Stdlib.Bytes.make size '\000' in
        guarded 0 (fun () ->
            write payload 0 value;
            payload)

      let write_frame value bytes ~pos =
        if not (within bytes pos frame_size) then whole Outside_buffer
        else
          let base = pos + header_size in
          Stdlib.Bytes.set_uint16_le bytes pos type_id;
          Stdlib.Bytes.set_int32_le bytes (pos + 2) (Stdlib.Int32.of_int size);
          Stdlib.Bytes.fill bytes base size '\000';
          guarded base (fun () ->
              write bytes base value;
              base + size)

      let to_frame value =
        let frame = Stdlib.Bytes.create frame_size in
        Stdlib.Result.map (fun _ -> frame) (write_frame value frame ~pos:0)

      let decode_sub bytes ~pos ~len =
        if not (within bytes pos len) then whole Outside_buffer
        else if len <> size then whole (Wrong_size { expected = size; actual = len })
        else guarded pos (fun () -> read bytes pos)

      let decode payload = decode_sub payload ~pos:0 ~len:(Stdlib.Bytes.length payload)
      let validate value = guarded 0 (fun () -> check value)

      let to_string value =
        let out = Stdlib.Buffer.create 128 in
        Stdlib.Buffer.add_string out name;
        if confidential then Stdlib.Buffer.add_string out " <confidential>" else print out value;
        Stdlib.Buffer.contents out

      let pp formatter value = Stdlib.Format.pp_print_string formatter (to_string value)
    end
  end
end

(**/**)

(** TextMessage: A line of text from a named sender. Type id 1001, topic examples; a payload of
    312 bytes. *)
module Text_message : sig
  type t = {
    sender : string;
        (** Name of the sender, at most 32 bytes of UTF-8. Type: String, at most 32 bytes of
            UTF-8. Rules: not_empty. *)
    content : string;
        (** The text, at most 256 bytes of UTF-8. Type: String, at most 256 bytes of UTF-8.
            Rules: not_empty. *)
    timestamp : int64;
        (** When it was sent, in nanoseconds since 1970-01-01 UTC. Type: u64, unsigned. *)
  }

  include Message with type t := t
end = struct
  type t = {
    sender : string;
    content : string;
    timestamp : int64;
  }

  include CODEC.Make (struct
    type nonrec t = t

    let name = "TextMessage"
    let type_id = 1001
    let topic = "examples"
    let size = 312
    let align = 8
    let buffer_class = 512
    let confidential = false
    let fields =
      [
        ("sender", 0);
        ("content", 40);
        ("timestamp", 304);
      ]
    let k0 = CODEC.text ~size:40 ~capacity:32
    let k1 = CODEC.text ~size:264 ~capacity:256
    let k2 = CODEC.u64

    let read bytes at : t =
      let v0 = CODEC.read k0 bytes (at + 0) in
      let v1 = CODEC.read k1 bytes (at + 40) in
      let v2 = CODEC.read k2 bytes (at + 304) in
      {
        sender = v0;
        content = v1;
        timestamp = v2;
      }

    let write bytes at (m : t) =
      CODEC.write k0 bytes (at + 0) m.sender;
      CODEC.write k1 bytes (at + 40) m.content;
      CODEC.write k2 bytes (at + 304) m.timestamp

    let check (m : t) =
      if Stdlib.String.length m.sender = 0 then
        CODEC.broken 0 "not_empty" Stdlib.Option.none;
      if Stdlib.String.length m.content = 0 then
        CODEC.broken 40 "not_empty" Stdlib.Option.none;
      ()

    let equal (a : t) (b : t) =
      CODEC.equal k0 a.sender b.sender
      && CODEC.equal k1 a.content b.content
      && CODEC.equal k2 a.timestamp b.timestamp

    let print out (m : t) =
      CODEC.print_field k0 out " { sender" m.sender;
      CODEC.print_field k1 out ", content" m.content;
      CODEC.print_field k2 out ", timestamp" m.timestamp;
      Stdlib.Buffer.add_string out " }"
  end)
end

(** Ping: A request that is answered with Pong. Type id 1002, topic examples; a payload of 72
    bytes. *)
module Ping : sig
  type t = {
    value : string;
        (** Returned in Pong, at most 64 bytes of UTF-8. Type: String, at most 64 bytes of UTF-8. *)
  }

  include Message with type t := t
end = struct
  type t = {
    value : string;
  }

  include CODEC.Make (struct
    type nonrec t = t

    let name = "Ping"
    let type_id = 1002
    let topic = "examples"
    let size = 72
    let align = 2
    let buffer_class = 128
    let confidential = false
    let fields =
      [
        ("value", 0);
      ]
    let k0 = CODEC.text ~size:72 ~capacity:64

    let read bytes at : t =
      let v0 = CODEC.read k0 bytes (at + 0) in
      {
        value = v0;
      }

    let write bytes at (m : t) =
      CODEC.write k0 bytes (at + 0) m.value

    let check _ = ()

    let equal (a : t) (b : t) =
      CODEC.equal k0 a.value b.value

    let print out (m : t) =
      CODEC.print_field k0 out " { value" m.value;
      Stdlib.Buffer.add_string out " }"
  end)
end

(** Pong: The answer to Ping. Type id 1003, topic examples; a payload of 72 bytes. *)
module Pong : sig
  type t = {
    value : string;
        (** As in Ping, at most 64 bytes of UTF-8. Type: String, at most 64 bytes of UTF-8. *)
  }

  include Message with type t := t
end = struct
  type t = {
    value : string;
  }

  include CODEC.Make (struct
    type nonrec t = t

    let name = "Pong"
    let type_id = 1003
    let topic = "examples"
    let size = 72
    let align = 2
    let buffer_class = 128
    let confidential = false
    let fields =
      [
        ("value", 0);
      ]
    let k0 = CODEC.text ~size:72 ~capacity:64

    let read bytes at : t =
      let v0 = CODEC.read k0 bytes (at + 0) in
      {
        value = v0;
      }

    let write bytes at (m : t) =
      CODEC.write k0 bytes (at + 0) m.value

    let check _ = ()

    let equal (a : t) (b : t) =
      CODEC.equal k0 a.value b.value

    let print out (m : t) =
      CODEC.print_field k0 out " { value" m.value;
      Stdlib.Buffer.add_string out " }"
  end)
end

(** PoolStateUpdate: State of a liquidity pool at the end of a block. Type id 1011, topic
    market-data; a payload of 168 bytes. Sent after: InstrumentMeta. *)
module Pool_state_update : sig
  type t = {
    pool_address : string;
        (** Address of the pool's contract. Type: \[u8; 20\]. Rules: not_zero. *)
    venue_id : int;
        (** Number of the venue. Type: u16. *)
    reserve0 : string;
        (** Reserve of the first token, in its smallest unit; 0 where the pool has none. Type:
            U256. Optional in the contract. *)
    reserve1 : string;
        (** Reserve of the second token, in its smallest unit; 0 where the pool has none. Type:
            U256. Optional in the contract. *)
    liquidity : string;
        (** Liquidity in range; 0 for pools without ranges. Type: U256. Optional in the contract. *)
    sqrt_price_x96 : string;
        (** Square root of the price, times 2^96; 0 for pools without ranges. Type: U256.
            Optional in the contract. *)
    tick : int;
        (** Logarithm of the price to the base 1.0001, rounded down. Type: i32. Optional in the
            contract. *)
    block_number : int64;
        (** Number of the block. Type: u64, unsigned. Rules not checked here: monotonic. *)
  }

  include Message with type t := t
end = struct
  type t = {
    pool_address : string;
    venue_id : int;
    reserve0 : string;
    reserve1 : string;
    liquidity : string;
    sqrt_price_x96 : string;
    tick : int;
    block_number : int64;
  }

  include CODEC.Make (struct
    type nonrec t = t

    let name = "PoolStateUpdate"
    let type_id = 1011
    let topic = "market-data"
    let size = 168
    let align = 8
    let buffer_class = 256
    let confidential = false
    let fields =
      [
        ("pool_address", 0);
        ("venue_id", 20);
        ("reserve0", 22);
        ("reserve1", 54);
        ("liquidity", 86);
        ("sqrt_price_x96", 118);
        ("tick", 152);
        ("block_number", 160);
      ]
    let k0 = CODEC.octets 20
    let k1 = CODEC.u16
    let k2 = CODEC.octets 32
    let k3 = CODEC.octets 32
    let k4 = CODEC.octets 32
    let k5 = CODEC.octets 32
    let k6 = CODEC.i32
    let k7 = CODEC.u64

    let read bytes at : t =
      let v0 = CODEC.read k0 bytes (at + 0) in
      let v1 = CODEC.read k1 bytes (at + 20) in
      let v2 = CODEC.read k2 bytes (at + 22) in
      let v3 = CODEC.read k3 bytes (at + 54) in
      let v4 = CODEC.read k4 bytes (at + 86) in
      let v5 = CODEC.read k5 bytes (at + 118) in
      let v6 = CODEC.read k6 bytes (at + 152) in
      let v7 = CODEC.read k7 bytes (at + 160) in
      {
        pool_address = v0;
        venue_id = v1;
        reserve0 = v2;
        reserve1 = v3;
        liquidity = v4;
        sqrt_price_x96 = v5;
        tick = v6;
        block_number = v7;
      }

    let write bytes at (m : t) =
      CODEC.write k0 bytes (at + 0) m.pool_address;
      CODEC.write k1 bytes (at + 20) m.venue_id;
      CODEC.write k2 bytes (at + 22) m.reserve0;
      CODEC.write k3 bytes (at + 54) m.reserve1;
      CODEC.write k4 bytes (at + 86) m.liquidity;
      CODEC.write k5 bytes (at + 118) m.sqrt_price_x96;
      CODEC.write k6 bytes (at + 152) m.tick;
      CODEC.write k7 bytes (at + 160) m.block_number

    let check (m : t) =
      if CODEC.is_zero k0 m.pool_address then
        CODEC.broken 0 "not_zero" Stdlib.Option.none;
      ()

    let equal (a : t) (b : t) =
      CODEC.equal k0 a.pool_address b.pool_address
      && CODEC.equal k1 a.venue_id b.venue_id
      && CODEC.equal k2 a.reserve0 b.reserve0
      && CODEC.equal k3 a.reserve1 b.reserve1
      && CODEC.equal k4 a.liquidity b.liquidity
      && CODEC.equal k5 a.sqrt_price_x96 b.sqrt_price_x96
      && CODEC.equal k6 a.tick b.tick
      && CODEC.equal k7 a.block_number b.block_number

    let print out (m : t) =
      CODEC.print_field k0 out " { pool_address" m.pool_address;
      CODEC.print_field k1 out ", venue_id" m.venue_id;
      CODEC.print_field k2 out ", reserve0" m.reserve0;
      CODEC.print_field k3 out ", reserve1" m.reserve1;
      CODEC.print_field k4 out ", liquidity" m.liquidity;
      CODEC.print_field k5 out ", sqrt_price_x96" m.sqrt_price_x96;
      CODEC.print_field k6 out ", tick" m.tick;
      CODEC.print_field k7 out ", block_number" m.block_number;
      Stdlib.Buffer.add_string out " }"
  end)
end

(** InstrumentMeta: What a token is; sent before the first message that names it. Type id 1018,
    topic market-data; a payload of 68 bytes. *)
module Instrument_meta : sig
  type t = {
    token_address : string;
        (** Address of the token's contract. Type: \[u8; 20\]. Rules: not_zero. *)
    symbol : string;
        (** Symbol such as WETH, at most 32 bytes of UTF-8. Type: String, at most 32 bytes of
            UTF-8. Rules: not_empty, no_0x_prefix. *)
    decimals : int;
        (** Decimal places between a whole token and its smallest unit. Type: u8. Rules: min: 1,
            max: 30. *)
    chain_id : int;
        (** Number of the chain, as in EIP-155. Type: u32. Rules not checked here: known_chain. *)
  }

  include Message with type t := t
end = struct
  type t = {
    token_address : string;
    symbol : string;
    decimals : int;
    chain_id : int;
  }

  include CODEC.Make (struct
    type nonrec t = t

    let name = "InstrumentMeta"
    let type_id = 1018
    let topic = "market-data"
    let size = 68
    let align = 4
    let buffer_class = 128
    let confidential = false
    let fields =
      [
        ("token_address", 0);
        ("symbol", 20);
        ("decimals", 60);
        ("chain_id", 64);
      ]
    let k0 = CODEC.octets 20
    let k1 = CODEC.text ~size:40 ~capacity:32
    let k2 = CODEC.u8
    let k3 = CODEC.u32

    let read bytes at : t =
      let v0 = CODEC.read k0 bytes (at + 0) in
      let v1 = CODEC.read k1 bytes (at + 20) in
      let v2 = CODEC.read k2 bytes (at + 60) in
      let v3 = CODEC.read k3 bytes (at + 64) in
      {
        token_address = v0;
        symbol = v1;
        decimals = v2;
        chain_id = v3;
      }

    let write bytes at (m : t) =
      CODEC.write k0 bytes (at + 0) m.token_address;
      CODEC.write k1 bytes (at + 20) m.symbol;
      CODEC.write k2 bytes (at + 60) m.decimals;
      CODEC.write k3 bytes (at + 64) m.chain_id

    let check (m : t) =
      if CODEC.is_zero k0 m.token_address then
        CODEC.broken 0 "not_zero" Stdlib.Option.none;
      if Stdlib.String.length m.symbol = 0 then
        CODEC.broken 20 "not_empty" Stdlib.Option.none;
      if CODEC.has_0x_prefix m.symbol then
        CODEC.broken 20 "no_0x_prefix" Stdlib.Option.none;
      if m.decimals < 1 then
        CODEC.broken 60 "min" (Stdlib.Option.some "1");
      if m.decimals > 30 then
        CODEC.broken 60 "max" (Stdlib.Option.some "30");
      ()

    let equal (a : t) (b : t) =
      CODEC.equal k0 a.token_address b.token_address
      && CODEC.equal k1 a.symbol b.symbol
      && CODEC.equal k2 a.decimals b.decimals
      && CODEC.equal k3 a.chain_id b.chain_id

    let print out (m : t) =
      CODEC.print_field k0 out " { token_address" m.token_address;
      CODEC.print_field k1 out ", symbol" m.symbol;
      CODEC.print_field k2 out ", decimals" m.decimals;
      CODEC.print_field k3 out ", chain_id" m.chain_id;
      Stdlib.Buffer.add_string out " }"
  end)
end

(** ArbitrageSignal: A path of swaps that is expected to end with more than it began with. Type
    id 1020, topic signal; a payload of 144 bytes. Confidential: nothing that is printed shows a
    value. *)
module Arbitrage_signal : sig
  type t = {
    opportunity_id : int64;
        (** Unique number of the opportunity. Type: u64, unsigned. *)
    path : string array;
        (** Addresses of the pools, in the order of the swaps. Type: Vec<\[u8; 20\]>, at most 4
            elements. Rules: min_length: 2. *)
    estimated_profit_usd : float;
        (** Expected profit after fees, in US dollars. Type: f64. Rules: min: 0.0. *)
    gas_estimate_wei : string;
        (** Expected cost of execution, in wei. Type: U256. *)
    deadline_block : int64;
        (** Number of the last block in which it may be executed. Type: u64, unsigned. *)
  }

  include Message with type t := t
end = struct
  type t = {
    opportunity_id : int64;
    path : string array;
    estimated_profit_usd : float;
    gas_estimate_wei : string;
    deadline_block : int64;
  }

  include CODEC.Make (struct
    type nonrec t = t

    let name = "ArbitrageSignal"
    let type_id = 1020
    let topic = "signal"
    let size = 144
    let align = 8
    let buffer_class = 256
    let confidential = true
    let fields =
      [
        ("opportunity_id", 0);
        ("path", 8);
        ("estimated_profit_usd", 96);
        ("gas_estimate_wei", 104);
        ("deadline_block", 136);
      ]
    let k0 = CODEC.u64
    let k1 = CODEC.vec (CODEC.octets 20) ~contents:8 ~size:88 ~capacity:4
    let k2 = CODEC.f64
    let k3 = CODEC.octets 32
    let k4 = CODEC.u64

    let read bytes at : t =
      let v0 = CODEC.read k0 bytes (at + 0) in
      let v1 = CODEC.read k1 bytes (at + 8) in
      let v2 = CODEC.read k2 bytes (at + 96) in
      let v3 = CODEC.read k3 bytes (at + 104) in
      let v4 = CODEC.read k4 bytes (at + 136) in
      {
        opportunity_id = v0;
        path = v1;
        estimated_profit_usd = v2;
        gas_estimate_wei = v3;
        deadline_block = v4;
      }

    let write bytes at (m : t) =
      CODEC.write k0 bytes (at + 0) m.opportunity_id;
      CODEC.write k1 bytes (at + 8) m.path;
      CODEC.write k2 bytes (at + 96) m.estimated_profit_usd;
      CODEC.write k3 bytes (at + 104) m.gas_estimate_wei;
      CODEC.write k4 bytes (at + 136) m.deadline_block

    let check (m : t) =
      if Stdlib.Array.length m.path < 2 then
        CODEC.broken 8 "min_length" (Stdlib.Option.some "2");
      if not (m.estimated_profit_usd >= 0x0.0p+0) then
        CODEC.broken 96 "min" (Stdlib.Option.some "0.0");
      ()

    let equal (a : t) (b : t) =
      CODEC.equal k0 a.opportunity_id b.opportunity_id
      && CODEC.equal k1 a.path b.path
      && CODEC.equal k2 a.estimated_profit_usd b.estimated_profit_usd
      && CODEC.equal k3 a.gas_estimate_wei b.gas_estimate_wei
      && CODEC.equal k4 a.deadline_block b.deadline_block

    let print out (m : t) =
      CODEC.print_field k0 out " { opportunity_id" m.opportunity_id;
      CODEC.print_field k1 out ", path" m.path;
      CODEC.print_field k2 out ", estimated_profit_usd" m.estimated_profit_usd;
      CODEC.print_field k3 out ", gas_estimate_wei" m.gas_estimate_wei;
      CODEC.print_field k4 out ", deadline_block" m.deadline_block;
      Stdlib.Buffer.add_string out " }"
  end)
end

(** TradeTick: One trade on an exchange. Type id 1200, topic market-data; a payload of 16 bytes. *)
module Trade_tick : sig
  type t = {
    price : int64;
        (** Price of one unit, in hundredths of the quote currency. Type: u64, unsigned. *)
    size : int64;
        (** Quantity traded, in thousandths of a unit. Type: u64, unsigned. *)
  }

  include Message with type t := t
end = struct
  type t = {
    price : int64;
    size : int64;
  }

  include CODEC.Make (struct
    type nonrec t = t

    let name = "TradeTick"
    let type_id = 1200
    let topic = "market-data"
    let size = 16
    let align = 8
    let buffer_class = 128
    let confidential = false
    let fields =
      [
        ("price", 0);
        ("size", 8);
      ]
    let k0 = CODEC.u64
    let k1 = CODEC.u64

    let read bytes at : t =
      let v0 = CODEC.read k0 bytes (at + 0) in
      let v1 = CODEC.read k1 bytes (at + 8) in
      {
        price = v0;
        size = v1;
      }

    let write bytes at (m : t) =
      CODEC.write k0 bytes (at + 0) m.price;
      CODEC.write k1 bytes (at + 8) m.size

    let check _ = ()

    let equal (a : t) (b : t) =
      CODEC.equal k0 a.price b.price
      && CODEC.equal k1 a.size b.size

    let print out (m : t) =
      CODEC.print_field k0 out " { price" m.price;
      CODEC.print_field k1 out ", size" m.size;
      Stdlib.Buffer.add_string out " }"
  end)
end

(** TradeSignal: A strategy's view of an instrument. Type id 1201, topic signal; a payload of 64
    bytes. *)
module Trade_signal : sig
  type t = {
    signal_id : int64;
        (** Unique number of the signal. Type: u64, unsigned. Rules: not_zero. *)
    symbol : string;
        (** Symbol of the instrument, at most 16 bytes of UTF-8. Type: String, at most 16 bytes
            of UTF-8. Rules: not_empty. *)
    buy : bool;
        (** Whether to buy; otherwise to sell. Type: bool. *)
    confidence : float;
        (** Estimated probability that the signal is right. Type: f64. Rules: min: 0.0, max: 1.0. *)
    target_price : int64;
        (** Price aimed at, in hundredths of the quote currency. Type: u64, unsigned. *)
    timestamp : int64;
        (** When it was computed, in nanoseconds since 1970-01-01 UTC. Type: u64, unsigned. *)
  }

  include Message with type t := t
end = struct
  type t = {
    signal_id : int64;
    symbol : string;
    buy : bool;
    confidence : float;
    target_price : int64;
    timestamp : int64;
  }

  include CODEC.Make (struct
    type nonrec t = t

    let name = "TradeSignal"
    let type_id = 1201
    let topic = "signal"
    let size = 64
    let align = 8
    let buffer_class = 128
    let confidential = false
    let fields =
      [
        ("signal_id", 0);
        ("symbol", 8);
        ("buy", 32);
        ("confidence", 40);
        ("target_price", 48);
        ("timestamp", 56);
      ]
    let k0 = CODEC.u64
    let k1 = CODEC.text ~size:24 ~capacity:16
    let k2 = CODEC.bool
    let k3 = CODEC.f64
    let k4 = CODEC.u64
    let k5 = CODEC.u64

    let read bytes at : t =
      let v0 = CODEC.read k0 bytes (at + 0) in
      let v1 = CODEC.read k1 bytes (at + 8) in
      let v2 = CODEC.read k2 bytes (at + 32) in
      let v3 = CODEC.read k3 bytes (at + 40) in
      let v4 = CODEC.read k4 bytes (at + 48) in
      let v5 = CODEC.read k5 bytes (at + 56) in
      {
        signal_id = v0;
        symbol = v1;
        buy = v2;
        confidence = v3;
        target_price = v4;
        timestamp = v5;
      }

    let write bytes at (m : t) =
      CODEC.write k0 bytes (at + 0) m.signal_id;
      CODEC.write k1 bytes (at + 8) m.symbol;
      CODEC.write k2 bytes (at + 32) m.buy;
      CODEC.write k3 bytes (at + 40) m.confidence;
      CODEC.write k4 bytes (at + 48) m.target_price;
      CODEC.write k5 bytes (at + 56) m.timestamp

    let check (m : t) =
      if CODEC.is_zero k0 m.signal_id then
        CODEC.broken 0 "not_zero" Stdlib.Option.none;
      if Stdlib.String.length m.symbol = 0 then
        CODEC.broken 8 "not_empty" Stdlib.Option.none;
      if not (m.confidence >= 0x0.0p+0) then
        CODEC.broken 40 "min" (Stdlib.Option.some "0.0");
      if not (m.confidence <= 0x1.0000000000000p+0) then
        CODEC.broken 40 "max" (Stdlib.Option.some "1.0");
      ()

    let equal (a : t) (b : t) =
      CODEC.equal k0 a.signal_id b.signal_id
      && CODEC.equal k1 a.symbol b.symbol
      && CODEC.equal k2 a.buy b.buy
      && CODEC.equal k3 a.confidence b.confidence
      && CODEC.equal k4 a.target_price b.target_price
      && CODEC.equal k5 a.timestamp b.timestamp

    let print out (m : t) =
      CODEC.print_field k0 out " { signal_id" m.signal_id;
      CODEC.print_field k1 out ", symbol" m.symbol;
      CODEC.print_field k2 out ", buy" m.buy;
      CODEC.print_field k3 out ", confidence" m.confidence;
      CODEC.print_field k4 out ", target_price" m.target_price;
      CODEC.print_field k5 out ", timestamp" m.timestamp;
      Stdlib.Buffer.add_string out " }"
  end)
end

(** Order: A limit order for an execution service. Type id 1202, topic execution; a payload of 72
    bytes. *)
module Order : sig
  type t = {
    order_id : int64;
        (** Unique number of the order. Type: u64, unsigned. Rules: not_zero. *)
    signal_id : int64;
        (** Number of the TradeSignal that led to it, 0 where none did. Type: u64, unsigned. *)
    symbol : string;
        (** Symbol of the instrument, at most 16 bytes of UTF-8. Type: String, at most 16 bytes
            of UTF-8. Rules: not_empty. *)
    buy : bool;
        (** Whether to buy; otherwise to sell. Type: bool. *)
    limit_price : int64;
        (** Worst price that is acceptable, in hundredths of the quote currency. Type: u64,
            unsigned. Rules: not_zero. *)
    size : int64;
        (** Quantity, in thousandths of a unit. Type: u64, unsigned. Rules: not_zero. *)
    expires_at : int64;
        (** When it lapses, in nanoseconds since 1970-01-01 UTC; 0 for never. Type: u64,
            unsigned. *)
  }

  include Message with type t := t
end = struct
  type t = {
    order_id : int64;
    signal_id : int64;
    symbol : string;
    buy : bool;
    limit_price : int64;
    size : int64;
    expires_at : int64;
  }

  include CODEC.Make (struct
    type nonrec t = t

    let name = "Order"
    let type_id = 1202
    let topic = "execution"
    let size = 72
    let align = 8
    let buffer_class = 128
    let confidential = false
    let fields =
      [
        ("order_id", 0);
        ("signal_id", 8);
        ("symbol", 16);
        ("buy", 40);
        ("limit_price", 48);
        ("size", 56);
        ("expires_at", 64);
      ]
    let k0 = CODEC.u64
    let k1 = CODEC.u64
    let k2 = CODEC.text ~size:24 ~capacity:16
    let k3 = CODEC.bool
    let k4 = CODEC.u64
    let k5 = CODEC.u64
    let k6 = CODEC.u64

    let read bytes at : t =
      let v0 = CODEC.read k0 bytes (at + 0) in
      let v1 = CODEC.read k1 bytes (at + 8) in
      let v2 = CODEC.read k2 bytes (at + 16) in
      let v3 = CODEC.read k3 bytes (at + 40) in
      let v4 = CODEC.read k4 bytes (at + 48) in
      let v5 = CODEC.read k5 bytes (at + 56) in
      let v6 = CODEC.read k6 bytes (at + 64) in
      {
        order_id = v0;
        signal_id = v1;
        symbol = v2;
        buy = v3;
        limit_price = v4;
        size = v5;
        expires_at = v6;
      }

    let write bytes at (m : t) =
      CODEC.write k0 bytes (at + 0) m.order_id;
      CODEC.write k1 bytes (at + 8) m.signal_id;
      CODEC.write k2 bytes (at + 16) m.symbol;
      CODEC.write k3 bytes (at + 40) m.buy;
      CODEC.write k4 bytes (at + 48) m.limit_price;
      CODEC.write k5 bytes (at + 56) m.size;
      CODEC.write k6 bytes (at + 64) m.expires_at

    let check (m : t) =
      if CODEC.is_zero k0 m.order_id then
        CODEC.broken 0 "not_zero" Stdlib.Option.none;
      if Stdlib.String.length m.symbol = 0 then
        CODEC.broken 16 "not_empty" Stdlib.Option.none;
      if CODEC.is_zero k4 m.limit_price then
        CODEC.broken 48 "not_zero" Stdlib.Option.none;
      if CODEC.is_zero k5 m.size then
        CODEC.broken 56 "not_zero" Stdlib.Option.none;
      ()

    let equal (a : t) (b : t) =
      CODEC.equal k0 a.order_id b.order_id
      && CODEC.equal k1 a.signal_id b.signal_id
      && CODEC.equal k2 a.symbol b.symbol
      && CODEC.equal k3 a.buy b.buy
      && CODEC.equal k4 a.limit_price b.limit_price
      && CODEC.equal k5 a.size b.size
      && CODEC.equal k6 a.expires_at b.expires_at

    let print out (m : t) =
      CODEC.print_field k0 out " { order_id" m.order_id;
      CODEC.print_field k1 out ", signal_id" m.signal_id;
      CODEC.print_field k2 out ", symbol" m.symbol;
      CODEC.print_field k3 out ", buy" m.buy;
      CODEC.print_field k4 out ", limit_price" m.limit_price;
      CODEC.print_field k5 out ", size" m.size;
      CODEC.print_field k6 out ", expires_at" m.expires_at;
      Stdlib.Buffer.add_string out " }"
  end)
end

(** Any message of the schema. *)
type message =
  | Text_message of Text_message.t
  | Ping of Ping.t
  | Pong of Pong.t
  | Pool_state_update of Pool_state_update.t
  | Instrument_meta of Instrument_meta.t
  | Arbitrage_signal of Arbitrage_signal.t
  | Trade_tick of Trade_tick.t
  | Trade_signal of Trade_signal.t
  | Order of Order.t

(** The messages in the contract's order, for tables and tools. *)
let messages : (module Message) list =
  [
    (module Text_message);
    (module Ping);
    (module Pong);
    (module Pool_state_update);
    (module Instrument_meta);
    (module Arbitrage_signal);
    (module Trade_tick);
    (module Trade_signal);
    (module Order);
  ]

(** A message of any type from a payload: the [len] bytes at [pos] of a buffer. *)
let decode_any_sub ~type_id bytes ~pos ~len : (message, error) result =
  match type_id with
  | 1001 -> Stdlib.Result.map (fun m : message -> Text_message m) (Text_message.decode_sub bytes ~pos ~len)
  | 1002 -> Stdlib.Result.map (fun m : message -> Ping m) (Ping.decode_sub bytes ~pos ~len)
  | 1003 -> Stdlib.Result.map (fun m : message -> Pong m) (Pong.decode_sub bytes ~pos ~len)
  | 1011 -> Stdlib.Result.map (fun m : message -> Pool_state_update m) (Pool_state_update.decode_sub bytes ~pos ~len)
  | 1018 -> Stdlib.Result.map (fun m : message -> Instrument_meta m) (Instrument_meta.decode_sub bytes ~pos ~len)
  | 1020 -> Stdlib.Result.map (fun m : message -> Arbitrage_signal m) (Arbitrage_signal.decode_sub bytes ~pos ~len)
  | 1200 -> Stdlib.Result.map (fun m : message -> Trade_tick m) (Trade_tick.decode_sub bytes ~pos ~len)
  | 1201 -> Stdlib.Result.map (fun m : message -> Trade_signal m) (Trade_signal.decode_sub bytes ~pos ~len)
  | 1202 -> Stdlib.Result.map (fun m : message -> Order m) (Order.decode_sub bytes ~pos ~len)
  | _ -> CODEC.unknown type_id

(** A message of any type from its payload. *)
let decode_any ~type_id payload =
  decode_any_sub ~type_id payload ~pos:0 ~len:(Stdlib.Bytes.length payload)

let type_id (message : message) =
  match message with
  | Text_message _ -> Text_message.type_id
  | Ping _ -> Ping.type_id
  | Pong _ -> Pong.type_id
  | Pool_state_update _ -> Pool_state_update.type_id
  | Instrument_meta _ -> Instrument_meta.type_id
  | Arbitrage_signal _ -> Arbitrage_signal.type_id
  | Trade_tick _ -> Trade_tick.type_id
  | Trade_signal _ -> Trade_signal.type_id
  | Order _ -> Order.type_id

let encode (message : message) =
  match message with
  | Text_message m -> Text_message.encode m
  | Ping m -> Ping.encode m
  | Pong m -> Pong.encode m
  | Pool_state_update m -> Pool_state_update.encode m
  | Instrument_meta m -> Instrument_meta.encode m
  | Arbitrage_signal m -> Arbitrage_signal.encode m
  | Trade_tick m -> Trade_tick.encode m
  | Trade_signal m -> Trade_signal.encode m
  | Order m -> Order.encode m

let to_frame (message : message) =
  match message with
  | Text_message m -> Text_message.to_frame m
  | Ping m -> Ping.to_frame m
  | Pong m -> Pong.to_frame m
  | Pool_state_update m -> Pool_state_update.to_frame m
  | Instrument_meta m -> Instrument_meta.to_frame m
  | Arbitrage_signal m -> Arbitrage_signal.to_frame m
  | Trade_tick m -> Trade_tick.to_frame m
  | Trade_signal m -> Trade_signal.to_frame m
  | Order m -> Order.to_frame m

let validate (message : message) =
  match message with
  | Text_message m -> Text_message.validate m
  | Ping m -> Ping.validate m
  | Pong m -> Pong.validate m
  | Pool_state_update m -> Pool_state_update.validate m
  | Instrument_meta m -> Instrument_meta.validate m
  | Arbitrage_signal m -> Arbitrage_signal.validate m
  | Trade_tick m -> Trade_tick.validate m
  | Trade_signal m -> Trade_signal.validate m
  | Order m -> Order.validate m

let to_string (message : message) =
  match message with
  | Text_message m -> Text_message.to_string m
  | Ping m -> Ping.to_string m
  | Pong m -> Pong.to_string m
  | Pool_state_update m -> Pool_state_update.to_string m
  | Instrument_meta m -> Instrument_meta.to_string m
  | Arbitrage_signal m -> Arbitrage_signal.to_string m
  | Trade_tick m -> Trade_tick.to_string m
  | Trade_signal m -> Trade_signal.to_string m
  | Order m -> Order.to_string m

let equal (a : message) (b : message) =
  match (a, b) with
  | Text_message a, Text_message b -> Text_message.equal a b
  | Ping a, Ping b -> Ping.equal a b
  | Pong a, Pong b -> Pong.equal a b
  | Pool_state_update a, Pool_state_update b -> Pool_state_update.equal a b
  | Instrument_meta a, Instrument_meta b -> Instrument_meta.equal a b
  | Arbitrage_signal a, Arbitrage_signal b -> Arbitrage_signal.equal a b
  | Trade_tick a, Trade_tick b -> Trade_tick.equal a b
  | Trade_signal a, Trade_signal b -> Trade_signal.equal a b
  | Order a, Order b -> Order.equal a b
  | _ -> false
[@@warning "-4"]
