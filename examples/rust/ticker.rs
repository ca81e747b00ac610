//! Publishes ticks on a bridge's Unix socket, and prints what comes back.
//!
//!     mycelium codegen contracts.yaml --rust-out messages.rs
//!     rustc --edition 2021 -O ticker.rs
//!     mycelium bridge --unix bus.sock --contracts contracts.yaml &
//!     ./ticker bus.sock [COUNT]
//!
//! A plain connection gets everything on the bus, its own messages too: this one ends when it has seen its ticks.

mod messages;

use std::error::Error;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use messages::{Frame, Message, Payload, TradeTick};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("the path of a bridge's socket is missing")?;
    let count: u64 = arguments.next().map_or(Ok(10), |count| count.parse())?;

    let mut stream = UnixStream::connect(path)?;
    let mut output = messages::HANDSHAKE.to_vec();
    for number in 0..count {
        TradeTick::new(101_500 + number, 2_500).append_frame(&mut output);
    }
    stream.write_all(&output)?;

    let (mut buffer, mut chunk, mut seen) = (Vec::new(), [0; 65_536], 0);
    while seen < count {
        let size = stream.read(&mut chunk)?;
        if size == 0 {
            return Err("the bridge closed the connection: is it running with the same contracts file?".into());
        }
        buffer.extend_from_slice(&chunk[..size]);
        let mut rest = buffer.as_slice();
        while let Some((frame, more)) = Frame::split(rest)? {
            rest = more;
            match Message::decode(frame.type_id, frame.payload)? {
                Some(Message::TradeTick(tick)) => {
                    println!("price {}, size {}", tick.price, tick.size);
                    seen += 1;
                }
                Some(other) => println!("{other:?}"),
                None => println!("type id {}, {} bytes", frame.type_id, frame.payload.len()),
            }
        }
        buffer.drain(..buffer.len() - rest.len());
    }
    Ok(())
}
