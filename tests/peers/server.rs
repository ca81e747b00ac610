//! A server in Rust, of the kind that Python clients meet: its own check of the digest, and no `Hello`.
//!
//!     server (unix:PATH | tcp:HOST:PORT)
//!
//! Prints `listening ADDRESS`, then serves each connection in a thread. `Ping` is answered with `Pong`, a
//! `TradeSignal` with itself, what does not decode or breaks a rule with a `TextMessage` that says why; the text
//! "send-invalid" with a `TradeSignal` that breaks a rule, and a `Pong` after it. Unknown types are skipped.

mod messages;

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::thread;

use messages::{FixedString, Frame, Message, Ping, Pong, TextMessage, TradeSignal};

/// As much of a text as there is room for.
fn cut<const C: usize, const S: usize>(text: &str) -> FixedString<C, S> {
    let mut end = text.len().min(C);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].try_into().unwrap_or_default()
}

fn complaint(error: &dyn Error) -> Message {
    TextMessage::new(cut("server"), cut(&error.to_string()), 0).into()
}

fn answers(frame: Frame<'_>) -> Vec<Message> {
    let message = match Message::decode(frame.type_id, frame.payload) {
        Ok(Some(message)) => message,
        Ok(None) => return Vec::new(),
        Err(error) => return vec![complaint(&error)],
    };
    if let Err(error) = message.validate() {
        return vec![complaint(&error)];
    }
    match message {
        Message::Ping(Ping { value, .. }) => vec![Pong::new(value).into()],
        Message::TradeSignal(signal) => vec![signal.into()],
        Message::TextMessage(text) if text.content == "send-invalid" => {
            let signal = TradeSignal::new(1, cut("BTC"), true, 2.0, 3, 4);
            vec![signal.into(), Pong::new(cut("after")).into()]
        }
        _ => Vec::new(),
    }
}

fn serve(mut stream: impl Read + Write) -> Result<(), Box<dyn Error>> {
    let mut greeting = [0; messages::HANDSHAKE.len()];
    stream.read_exact(&mut greeting)?;
    messages::check_handshake(&greeting)?;
    let (mut buffer, mut chunk, mut output) = (Vec::new(), [0; 4096], Vec::new());
    loop {
        let count = stream.read(&mut chunk)?;
        if count == 0 {
            return Ok(());
        }
        buffer.extend_from_slice(&chunk[..count]);
        let mut rest = buffer.as_slice();
        while let Some((frame, more)) = Frame::split(rest)? {
            answers(frame).iter().for_each(|answer| answer.append_frame(&mut output));
            rest = more;
        }
        buffer.drain(..buffer.len() - rest.len());
        stream.write_all(&output)?;
        output.clear();
    }
}

/// Serves one connection in a thread of its own, and says on stderr why it ended if not by itself.
fn start(stream: impl Read + Write + Send + 'static) {
    thread::spawn(move || {
        if let Err(error) = serve(stream) {
            eprintln!("server: {error}");
        }
    });
}

fn announce(address: &str) -> io::Result<()> {
    let mut output = io::stdout();
    writeln!(output, "listening {address}")?;
    output.flush()
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_default();
    match address.split_once(':') {
        Some(("unix", path)) => {
            // One that a server left behind which was killed.
            let _ = std::fs::remove_file(path);
            let listener = UnixListener::bind(path)?;
            announce(&address)?;
            loop {
                start(listener.accept()?.0);
            }
        }
        Some(("tcp", host)) => {
            let listener = TcpListener::bind(host)?;
            announce(&format!("tcp:{}", listener.local_addr()?))?;
            loop {
                start(listener.accept()?.0);
            }
        }
        _ => Err("an address is unix:PATH or tcp:HOST:PORT".into()),
    }
}
