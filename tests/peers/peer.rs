//! The test peer in Rust: sends numbered messages of mixed types, receives as many, compares field by field.
//!
//!     peer (connect|listen) (unix:PATH | tcp:HOST:PORT) SEND_FROM RECEIVE_FROM COUNT [--bus]
//!
//! Generated code (`messages.rs` beside it) and the standard library's sockets, nothing else. A message is made
//! from its number alone. Exits 0 when everything has come, 1 at a difference, 2 when the connection ends early or
//! cannot be had, 3 when a peer's digest is refused.

mod messages;

use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::exit;
use std::thread;
use std::time::Duration;

use messages::{
    ArbitrageSignal, FixedString, Frame, InstrumentMeta, Message, PoolStateUpdate, TextMessage, TradeSignal, TradeTick,
};

const BUFFER: usize = 65_536;

enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Stream {
    fn connect(address: &str) -> io::Result<Self> {
        match address.split_once(':') {
            Some(("unix", path)) => UnixStream::connect(path).map(Self::Unix),
            Some(("tcp", host)) => TcpStream::connect(host).map(Self::Tcp),
            _ => Err(io::Error::other("an address is unix:PATH or tcp:HOST:PORT")),
        }
    }

    /// Listens, says where on stdout, and accepts one connection.
    fn accept(address: &str) -> io::Result<Self> {
        match address.split_once(':') {
            Some(("unix", path)) => {
                let listener = UnixListener::bind(path)?;
                announce(&format!("unix:{path}"))?;
                listener.accept().map(|(stream, _)| Self::Unix(stream))
            }
            Some(("tcp", host)) => {
                let listener = TcpListener::bind(host)?;
                announce(&format!("tcp:{}", listener.local_addr()?))?;
                listener.accept().map(|(stream, _)| Self::Tcp(stream))
            }
            _ => Err(io::Error::other("an address is unix:PATH or tcp:HOST:PORT")),
        }
    }

    fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Unix(stream) => stream.try_clone().map(Self::Unix),
            Self::Tcp(stream) => stream.try_clone().map(Self::Tcp),
        }
    }

    /// Ends what is sent, and takes what is left to read: a TCP connection closed with unread bytes is reset, and
    /// the other end might lose what it has not read yet.
    fn finish(mut self) -> io::Result<()> {
        match &self {
            Self::Unix(stream) => {
                stream.shutdown(Shutdown::Write)?;
                stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            }
            Self::Tcp(stream) => {
                stream.shutdown(Shutdown::Write)?;
                stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            }
        }
        let mut rest = [0; BUFFER];
        while self.read(&mut rest)? > 0 {}
        Ok(())
    }
}

fn announce(address: &str) -> io::Result<()> {
    let mut output = io::stdout();
    writeln!(output, "listening {address}")?;
    output.flush()
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(buffer),
            Self::Tcp(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(buffer),
            Self::Tcp(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// --- Messages by number --------------------------------------------------------------------------------------

fn bytes<const N: usize>(byte: impl Fn(u64) -> u64) -> [u8; N] {
    std::array::from_fn(|k| byte(k as u64) as u8)
}

fn text<const C: usize, const S: usize>(text: &str) -> FixedString<C, S> {
    text.try_into().expect("every text of a numbered message has room")
}

fn message(i: u64) -> Message {
    match i % 6 {
        0 => TradeTick::new(i.wrapping_mul(1_000_003), u64::MAX - i).into(),
        1 => TradeSignal::new(
            i + 1,
            text(&format!("S{}", i % 1000)),
            (i / 6) % 2 == 0,
            (i % 1001) as f64 / 1000.0,
            i.wrapping_mul(3),
            i.wrapping_mul(1_000_000_007),
        )
        .into(),
        2 => TextMessage::new(text("peer \u{e9}"), text(&format!("message {i} \u{2713}")), i).into(),
        3 => {
            let mut reserve1 = [0; 32];
            reserve1[24..].copy_from_slice(&i.to_be_bytes());
            PoolStateUpdate::new(
                bytes(|k| i.wrapping_add(k)),
                i as u16,
                bytes(|k| i.wrapping_mul(k)),
                reserve1,
                [0; 32],
                bytes(|k| 255 - k),
                500_000 - (i % 1_000_000) as i32,
                i,
            )
            .into()
        }
        4 => {
            let mut path = Vec::new();
            for j in 0..2 + (i / 6) % 3 {
                path.push([i.wrapping_add(j) as u8; 20]);
            }
            let path = path.as_slice().try_into().expect("at most four addresses");
            ArbitrageSignal::new(i, path, (i % 4096) as f64 * 0.25, [i as u8; 32], i + 10).into()
        }
        _ => InstrumentMeta::new(
            bytes(|k| i.wrapping_add(k)),
            text(&format!("T{}", i % 100)),
            (1 + i % 30) as u8,
            i as u32,
        )
        .into(),
    }
}

/// The first field that differs: its name, what was expected and what came.
fn difference(expected: &Message, got: &Message) -> Option<(&'static str, String, String)> {
    fn compare<T: PartialEq + Debug>(field: &'static str, a: &T, b: &T) -> Option<(&'static str, String, String)> {
        (a != b).then(|| (field, format!("{a:?}"), format!("{b:?}")))
    }
    macro_rules! fields {
        ($($message:ident { $($field:ident),* })*) => {
            match (expected, got) {
                $((Message::$message(a), Message::$message(b)) => {
                    let found: [Option<(&'static str, String, String)>; [$(stringify!($field)),*].len()] =
                        [$(compare(stringify!($field), &a.$field, &b.$field)),*];
                    found.into_iter().flatten().next()
                })*
                (a, b) => compare("TYPE_ID", &a.definition().name, &b.definition().name),
            }
        };
    }
    fields! {
        TradeTick { price, size }
        TradeSignal { signal_id, symbol, buy, confidence, target_price, timestamp }
        TextMessage { sender, content, timestamp }
        PoolStateUpdate {
            pool_address, venue_id, reserve0, reserve1, liquidity, sqrt_price_x96, tick, block_number
        }
        ArbitrageSignal { opportunity_id, path, estimated_profit_usd, gas_estimate_wei, deadline_block }
        InstrumentMeta { token_address, symbol, decimals, chain_id }
    }
}

// --- Both directions -----------------------------------------------------------------------------------------

fn send(mut stream: Stream, from: u64, count: u64) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(2 * BUFFER);
    for i in from..from + count {
        message(i).append_frame(&mut buffer);
        if buffer.len() >= BUFFER {
            stream.write_all(&buffer)?;
            buffer.clear();
        }
    }
    stream.write_all(&buffer)
}

#[derive(Default)]
struct Received {
    others: u64,
    own: u64,
    skipped: u64,
}

/// Reads until everything expected has come; every frame is decoded, validated and compared.
fn receive(stream: &mut Stream, others: (u64, u64), own: (u64, u64)) -> io::Result<Received> {
    let mut received = Received::default();
    let mut next_other = message(others.0);
    let mut next_own = message(own.0);
    let (mut buffer, mut used) = (vec![0; 2 * BUFFER], 0);
    while received.others < others.1 || received.own < own.1 {
        let count = stream.read(&mut buffer[used..])?;
        if count == 0 {
            return Err(io::Error::other(format!(
                "the connection ended after {} of {} messages, {} of {} own",
                received.others, others.1, received.own, own.1
            )));
        }
        used += count;
        let mut rest = &buffer[..used];
        while let Some((frame, more)) = Frame::split(rest).map_err(io::Error::other)? {
            rest = more;
            let number = others.0 + received.others;
            let got = match Message::decode(frame.type_id, frame.payload) {
                Ok(Some(message)) => message,
                Ok(None) => {
                    received.skipped += 1;
                    continue;
                }
                Err(error) => differs(number, "payload", "a message", &error.to_string()),
            };
            if let Err(error) = got.validate() {
                differs(number, error.field, "a valid value", &error.to_string());
            }
            if received.others < others.1 && got == next_other {
                received.others += 1;
                next_other = message(others.0 + received.others);
            } else if received.own < own.1 && got == next_own {
                received.own += 1;
                next_own = message(own.0 + received.own);
            } else if let Some((field, expected, got)) = difference(&next_other, &got) {
                differs(number, field, &expected, &got);
            } else {
                differs(number, "TYPE_ID", "no further message", got.definition().name);
            }
        }
        let left = rest.len();
        buffer.copy_within(used - left..used, 0);
        used = left;
    }
    Ok(received)
}

fn differs(number: u64, field: &str, expected: &str, got: &str) -> ! {
    println!("message {number} field {field}: expected {expected} got {got}");
    exit(1)
}

fn run(arguments: &[String]) -> io::Result<()> {
    let bus = arguments.iter().any(|each| each == "--bus");
    let words: Vec<&str> = arguments.iter().map(String::as_str).filter(|each| *each != "--bus").collect();
    let [mode, address, numbers @ ..] = words.as_slice() else {
        return Err(io::Error::other("peer (connect|listen) ADDRESS SEND_FROM RECEIVE_FROM COUNT [--bus]"));
    };
    let numbers: Vec<u64> = numbers.iter().map_while(|each| each.parse().ok()).collect();
    let [send_from, receive_from, count] = numbers[..] else {
        return Err(io::Error::other("SEND_FROM, RECEIVE_FROM and COUNT are whole numbers"));
    };
    let mut stream = if *mode == "listen" {
        let mut stream = Stream::accept(address)?;
        let mut greeting = [0; messages::HANDSHAKE.len()];
        stream.read_exact(&mut greeting)?;
        if messages::check_handshake(&greeting).is_err() {
            println!("refused");
            exit(3);
        }
        stream
    } else {
        let mut stream = Stream::connect(address)?;
        stream.write_all(&messages::HANDSHAKE)?;
        stream
    };
    let sending = stream.try_clone()?;
    let sender = thread::spawn(move || send(sending, send_from, count));
    let own = if bus && *mode != "listen" { count } else { 0 };
    let received = receive(&mut stream, (receive_from, count), (send_from, own))?;
    sender.join().expect("sending does not panic")?;
    println!("sent {count} received {} own {} skipped {}", received.others, received.own, received.skipped);
    // The other end may be gone already, with everything that it expected.
    let _ = stream.finish();
    Ok(())
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Err(error) = run(&arguments) {
        eprintln!("peer: {error}");
        exit(2);
    }
}
