(* Sends ten trades over a bridge and prints every trade that comes: its own, as every plain connection
   gets them back, and those of others. Needs nothing but the OCaml distribution:

     mycelium bridge --unix /tmp/bus.sock --contracts contracts.yaml
     mycelium codegen contracts.yaml --ocaml-out messages.ml
     ocamlopt -I +unix unix.cmxa messages.ml ticker.ml -o ticker && ./ticker /tmp/bus.sock *)

let trades = 10

let ok = function
  | Ok value -> value
  | Error error ->
      prerr_endline (Messages.error_to_string error);
      exit 1

let closed () =
  prerr_endline "the bridge closed the connection; were its contracts others than ours?";
  exit 1

let rec write_all socket bytes from =
  let left = Bytes.length bytes - from in
  if left > 0 then
    match Unix.write socket bytes from left with
    | count -> write_all socket bytes (from + count)
    | exception Unix.Unix_error ((EPIPE | ECONNRESET), _, _) -> closed ()

(* Exactly so many bytes: a read may give fewer. *)
let read_exactly socket size =
  let bytes = Bytes.create size in
  let rec fill from =
    if from < size then
      match Unix.read socket bytes from (size - from) with
      | 0 | (exception Unix.Unix_error (ECONNRESET, _, _)) -> closed ()
      | count -> fill (from + count)
  in
  fill 0;
  bytes

let () =
  (* A peer that is gone is an error of the write, not the end of the program. *)
  Sys.set_signal Sys.sigpipe Sys.Signal_ignore;
  let path = if Array.length Sys.argv = 2 then Sys.argv.(1) else "/tmp/bus.sock" in
  let socket = Unix.socket Unix.PF_UNIX Unix.SOCK_STREAM 0 in
  Unix.connect socket (Unix.ADDR_UNIX path);
  write_all socket (Bytes.of_string Messages.handshake) 0;
  for number = 1 to trades do
    let tick : Messages.Trade_tick.t = { price = Int64.of_int (101_500 + number); size = 2_500L } in
    ok (Messages.Trade_tick.validate tick);
    write_all socket (ok (Messages.Trade_tick.to_frame tick)) 0
  done;
  let rec listen seen =
    if seen < trades then
      match Messages.read_header (read_exactly socket Messages.header_size) ~pos:0 ~len:Messages.header_size with
      | Header { type_id; length } -> (
          let payload = read_exactly socket length in
          match Messages.decode_any ~type_id payload with
          | Ok (Trade_tick tick) ->
              print_endline (Messages.Trade_tick.to_string tick);
              listen (seen + 1)
          | Ok _ -> listen seen
          | Error error ->
              (* It costs that frame and no more. *)
              prerr_endline (Messages.error_to_string error);
              listen seen)
      | Over_limit { type_id; length } ->
          Printf.eprintf "a frame of type %d announces %d bytes\n" type_id length;
          exit 1
      | Partial_header -> () (* not of six bytes *)
  in
  listen 0;
  Unix.close socket
