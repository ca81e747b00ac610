(* A peer in OCaml, made of generated messages and the standard library: it connects or listens, sends a run of
   numbered messages, and compares what it receives with the messages of those numbers, field by field.

     peer (connect|listen) (unix:PATH | tcp:HOST:PORT) SEND_FROM RECEIVE_FROM COUNT [--bus]

   With --bus every frame that it sent comes back as well. Exit codes: 0 all came, 1 a message differs, 2 the
   connection broke or ended too soon, 3 the other end has other contracts. *)

let write_size = 65_536
let read_size = 262_144

(* Prints a line and ends, also while another thread waits for the socket. *)
let finish code line =
  print_endline line;
  Unix._exit code

let fail code format = Printf.ksprintf (finish code) format

(* --- Message number i, and what its fields are -------------------------------------------------------- *)

let bytes_of count value = String.init count (fun k -> Char.chr (value k land 255))

let message i : Messages.message =
  let low = Int64.to_int i in
  let modulo n = Int64.to_int (Int64.rem i (Int64.of_int n)) in
  let turn = Int64.div i 6L in
  match modulo 6 with
  | 0 -> Trade_tick { price = Int64.mul i 1_000_003L; size = Int64.lognot i }
  | 1 ->
      Trade_signal
        {
          signal_id = Int64.succ i;
          symbol = Printf.sprintf "S%d" (modulo 1000);
          buy = Int64.rem turn 2L = 0L;
          confidence = float_of_int (modulo 1001) /. 1000.0;
          target_price = Int64.mul 3L i;
          timestamp = Int64.mul i 1_000_000_007L;
        }
  | 2 ->
      Text_message
        {
          sender = "peer \u{e9}";
          content = Printf.sprintf "message %Ld \u{2713}" i;
          timestamp = i;
        }
  | 3 ->
      let number = Bytes.make 32 '\000' in
      Bytes.set_int64_be number 24 i;
      Pool_state_update
        {
          pool_address = bytes_of 20 (fun k -> low + k);
          venue_id = low land 0xffff;
          reserve0 = bytes_of 32 (fun k -> low * k);
          reserve1 = Bytes.to_string number;
          liquidity = String.make 32 '\000';
          sqrt_price_x96 = bytes_of 32 (fun k -> 255 - k);
          tick = 500_000 - modulo 1_000_000;
          block_number = i;
        }
  | 4 ->
      let path = 2 + Int64.to_int (Int64.rem turn 3L) in
      Arbitrage_signal
        {
          opportunity_id = i;
          path = Array.init path (fun j -> bytes_of 20 (fun _ -> low + j));
          estimated_profit_usd = float_of_int (modulo 4096) *. 0.25;
          gas_estimate_wei = bytes_of 32 (fun _ -> low);
          deadline_block = Int64.add i 10L;
        }
  | _ ->
      Instrument_meta
        {
          token_address = bytes_of 20 (fun k -> low + k);
          symbol = Printf.sprintf "T%d" (modulo 100);
          decimals = 1 + modulo 30;
          chain_id = low land 0xffff_ffff;
        }

let unsigned = Printf.sprintf "%Lu"
let quoted = Printf.sprintf "%S"
let float = Printf.sprintf "%h"

(* Every field by name, in words that are the same if and only if the values are. *)
let fields : Messages.message -> (string * string) list = function
  | Trade_tick m -> [ ("price", unsigned m.price); ("size", unsigned m.size) ]
  | Trade_signal m ->
      [
        ("signal_id", unsigned m.signal_id);
        ("symbol", quoted m.symbol);
        ("buy", string_of_bool m.buy);
        ("confidence", float m.confidence);
        ("target_price", unsigned m.target_price);
        ("timestamp", unsigned m.timestamp);
      ]
  | Text_message m ->
      [ ("sender", quoted m.sender); ("content", quoted m.content); ("timestamp", unsigned m.timestamp) ]
  | Pool_state_update m ->
      [
        ("pool_address", quoted m.pool_address);
        ("venue_id", string_of_int m.venue_id);
        ("reserve0", quoted m.reserve0);
        ("reserve1", quoted m.reserve1);
        ("liquidity", quoted m.liquidity);
        ("sqrt_price_x96", quoted m.sqrt_price_x96);
        ("tick", string_of_int m.tick);
        ("block_number", unsigned m.block_number);
      ]
  | Arbitrage_signal m ->
      [
        ("opportunity_id", unsigned m.opportunity_id);
        ("path", String.concat " " (List.map quoted (Array.to_list m.path)));
        ("estimated_profit_usd", float m.estimated_profit_usd);
        ("gas_estimate_wei", quoted m.gas_estimate_wei);
        ("deadline_block", unsigned m.deadline_block);
      ]
  | Instrument_meta m ->
      [
        ("token_address", quoted m.token_address);
        ("symbol", quoted m.symbol);
        ("decimals", string_of_int m.decimals);
        ("chain_id", string_of_int m.chain_id);
      ]
  | Ping _ | Pong _ | Order _ -> []

(* Ends the program with the first field that is not as message i has it. *)
let differ i expected got =
  let expected_type = Messages.type_id expected and got_type = Messages.type_id got in
  if expected_type <> got_type then
    fail 1 "message %Ld field type_id: expected %d got %d" i expected_type got_type
  else
    match List.find_opt (fun (one, other) -> one <> other) (List.combine (fields expected) (fields got)) with
    | Some ((field, one), (_, other)) -> fail 1 "message %Ld field %s: expected %s got %s" i field one other
    | None -> fail 1 "message %Ld field ?: expected %s got another" i (Messages.to_string expected)

(* --- Sockets ------------------------------------------------------------------------------------------ *)

let address text =
  match String.split_on_char ':' text with
  | "unix" :: path -> Unix.ADDR_UNIX (String.concat ":" path)
  | [ "tcp"; host; port ] -> (
      match Unix.getaddrinfo host port [ Unix.AI_FAMILY Unix.PF_INET; Unix.AI_SOCKTYPE Unix.SOCK_STREAM ] with
      | found :: _ -> found.ai_addr
      | [] -> fail 2 "there is no host %s" host)
  | _ -> fail 2 "%s is neither unix:PATH nor tcp:HOST:PORT" text

let text_of = function
  | Unix.ADDR_UNIX path -> "unix:" ^ path
  | Unix.ADDR_INET (host, port) -> Printf.sprintf "tcp:%s:%d" (Unix.string_of_inet_addr host) port

let rec write_all socket bytes from until =
  if from < until then write_all socket bytes (from + Unix.write socket bytes from (until - from)) until

let connected where =
  let socket = Unix.socket (Unix.domain_of_sockaddr where) Unix.SOCK_STREAM 0 in
  Unix.connect socket where;
  write_all socket (Bytes.of_string Messages.handshake) 0 (String.length Messages.handshake);
  socket

let accepted where =
  let listener = Unix.socket (Unix.domain_of_sockaddr where) Unix.SOCK_STREAM 0 in
  Unix.bind listener where;
  Unix.listen listener 1;
  print_endline ("listening " ^ text_of (Unix.getsockname listener));
  let socket, _ = Unix.accept listener in
  Unix.close listener;
  let received = Bytes.create (String.length Messages.handshake) in
  let rec fill from =
    if from < Bytes.length received then
      match Unix.read socket received from (Bytes.length received - from) with
      | 0 -> finish 3 "refused"
      | count -> fill (from + count)
  in
  fill 0;
  match Messages.check_handshake received with Ok () -> socket | Error _ -> finish 3 "refused"

(* --- Sending and receiving ---------------------------------------------------------------------------- *)

let send socket first count =
  let buffer = Bytes.create write_size in
  let rec next index filled =
    if index = count then write_all socket buffer 0 filled
    else
      match Messages.to_frame (message (Int64.add first (Int64.of_int index))) with
      | Error error -> finish 1 (Messages.error_to_string error)
      | Ok frame ->
          let size = Bytes.length frame in
          let at = if filled + size > write_size then (write_all socket buffer 0 filled; 0) else filled in
          Bytes.blit frame 0 buffer at size;
          next (index + 1) (at + size)
  in
  next 0 0

type progress = { mutable received : int; mutable own : int; mutable skipped : int }

let checked i bytes pos len type_id =
  let stop error = fail 1 "message %Ld: %s" i (Messages.error_to_string error) in
  match Messages.decode_any_sub ~type_id bytes ~pos ~len with
  | Error { reason = Messages.Unknown_type _; _ } -> None
  | Error error -> stop error
  | Ok got -> ( match Messages.validate got with Ok () -> Some got | Error error -> stop error)

let receive socket ~own_from ~from ~count ~bus progress =
  let buffer = Bytes.create read_size in
  let own_count = if bus then count else 0 in
  let frame type_id pos len =
    let number = Int64.add from (Int64.of_int progress.received) in
    match checked number buffer pos len type_id with
    | None -> progress.skipped <- progress.skipped + 1
    | Some got ->
        let own = Int64.add own_from (Int64.of_int progress.own) in
        if progress.received < count && Messages.equal got (message number) then
          progress.received <- progress.received + 1
        else if progress.own < own_count && Messages.equal got (message own) then
          progress.own <- progress.own + 1
        else differ number (message number) got
  in
  (* The frames between two positions; gives the position of the first that is not all there. *)
  let rec cut pos until =
    match Messages.read_header buffer ~pos ~len:(until - pos) with
    | Over_limit { type_id; length } -> fail 2 "a frame of type %d announces %d bytes" type_id length
    | Header { type_id; length } when length <= until - pos - Messages.header_size ->
        let payload = pos + Messages.header_size in
        frame type_id payload length;
        cut (payload + length) until
    | Header { length; _ } when length > read_size - Messages.header_size ->
        fail 2 "a frame of %d bytes is longer than any of this program" length
    | Header _ | Partial_header -> pos
  in
  let rec more filled =
    if progress.received < count || progress.own < own_count then (
      match Unix.read socket buffer filled (read_size - filled) with
      | 0 -> fail 2 "the connection ended after %d messages and %d own" progress.received progress.own
      | got ->
          let until = filled + got in
          let rest = cut 0 until in
          Bytes.blit buffer rest buffer 0 (until - rest);
          more (until - rest))
  in
  more 0

(* Closing while something unread has arrived would reset the connection, and the other end might lose what
   it has not read yet. So the other end is told first, and has a moment to close. *)
let leave socket =
  let scratch = Bytes.create 4096 in
  let rec drain () =
    match Unix.select [ socket ] [] [] 0.25 with
    | [ _ ], _, _ -> if Unix.read socket scratch 0 4096 > 0 then drain ()
    | _ -> ()
  in
  try
    Unix.shutdown socket Unix.SHUTDOWN_SEND;
    drain ()
  with Unix.Unix_error _ -> ()

let run open_ where own_from from count bus =
  let own_from = Int64.of_string own_from and from = Int64.of_string from in
  let count = int_of_string count in
  let progress = { received = 0; own = 0; skipped = 0 } in
  Sys.set_signal Sys.sigpipe Sys.Signal_ignore;
  try
    let socket = open_ (address where) in
    let sender =
      Thread.create
        (fun () ->
          try send socket own_from count
          with Unix.Unix_error (error, _, _) -> fail 2 "sending failed: %s" (Unix.error_message error))
        ()
    in
    receive socket ~own_from ~from ~count ~bus progress;
    Thread.join sender;
    Printf.printf "sent %d received %d own %d skipped %d\n%!" count progress.received progress.own
      progress.skipped;
    leave socket
  with Unix.Unix_error (error, call, _) -> fail 2 "%s failed: %s" call (Unix.error_message error)

let () =
  match Array.to_list Sys.argv with
  | [ _; "connect"; where; own_from; from; count ] -> run connected where own_from from count false
  | [ _; "connect"; where; own_from; from; count; "--bus" ] -> run connected where own_from from count true
  | _ :: "listen" :: where :: own_from :: from :: count :: ([] | [ "--bus" ]) ->
      run accepted where own_from from count false
  | _ -> fail 2 "peer (connect|listen) (unix:PATH | tcp:HOST:PORT) SEND_FROM RECEIVE_FROM COUNT [--bus]"
