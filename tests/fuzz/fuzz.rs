//! Feeds damaged payloads of the four golden schemas to the generated Rust, and checks what it makes of them.
//!
//!     fuzz SEEDS EXECUTIONS RANDOM_SEED
//!
//! A line of the file SEEDS is `SCHEMA TYPE_ID HEX`, a good payload. Each execution damages one, decodes it and, if
//! that succeeds, checks the rules, encodes, and decodes again: the same bytes must come out. Streams of frames and
//! handshakes get the same treatment. A panic ends the program; at the end it prints how many payloads did what.

mod examples;
mod game;
mod market;
mod torture;

/// Numbers that look random and can be had again (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `limit`; 0 where that is 0.
    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 16) as usize % limit.max(1)
    }

    fn byte(&mut self) -> u8 {
        match self.below(4) {
            0 => [0x00, 0x01, 0x02, 0x7F, 0x80, 0xC0, 0xC2, 0xED, 0xF4, 0xFF][self.below(10)],
            1 => [b'0', b'x', b'X', b'a'][self.below(4)],
            _ => (self.next() >> 32) as u8,
        }
    }
}

/// Damages a payload in one to eight places; seldom changes its size.
fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..1 + random.below(8) {
        let (at, length) = (random.below(bytes.len()), random.below(9));
        let end = (at + length).min(bytes.len());
        match random.below(24) {
            0 => bytes.truncate(at),
            1 => bytes.push(random.byte()),
            2 => bytes[at..end].iter_mut().for_each(|byte| *byte = random.byte()),
            3 => bytes[at..end].fill(0xFF),
            4 => bytes[at..end].fill(0),
            5..=8 if at + 1 < bytes.len() => {
                // Where a count may be: a small one, or one around a boundary.
                let at = at & !1;
                let count = [0, 1, 2, 15, 16, 17, 255, 256, 65_535][random.below(9)] as u16;
                bytes[at..at + 2].copy_from_slice(&count.to_le_bytes());
            }
            9..=12 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            _ if !bytes.is_empty() => bytes[at] = random.byte(),
            _ => {}
        }
    }
}

#[derive(Default)]
struct Outcomes {
    decoded: u64,
    broke_rules: u64,
    rejected: u64,
    unknown: u64,
}

macro_rules! schema {
    ($function:ident, $module:ident) => {
        fn $function(type_id: u16, payload: &[u8], outcomes: &mut Outcomes) {
            match $module::Message::decode(type_id, payload) {
                Ok(None) => outcomes.unknown += 1,
                Err(error) => {
                    assert!(error.offset <= payload.len());
                    assert!(error.to_string().starts_with(error.message));
                    outcomes.rejected += 1;
                }
                Ok(Some(message)) => {
                    outcomes.decoded += 1;
                    if let Err(error) = message.validate() {
                        assert!(error.to_string().contains(error.rule));
                        outcomes.broke_rules += 1;
                    }
                    let mut stream = Vec::new();
                    message.append_frame(&mut stream);
                    let definition = message.definition();
                    assert_eq!(stream.len(), $module::HEADER_SIZE + definition.size);
                    let Ok(Some((frame, []))) = $module::Frame::split(&stream) else {
                        panic!("not one frame: {stream:?}");
                    };
                    assert_eq!(frame.type_id, type_id);
                    let again = $module::Message::decode(type_id, frame.payload);
                    let again = again.expect("decodes again").expect("of a known type");
                    let mut second = Vec::new();
                    again.append_frame(&mut second);
                    assert_eq!(stream, second);
                    if payload.first().is_some_and(|byte| byte % 64 == 0) {
                        assert_eq!(format!("{message:?}"), format!("{again:?}"));
                    }
                }
            }
            let mut rest = payload;
            while let Ok(Some((_, more))) = $module::Frame::split(rest) {
                assert!(more.len() < rest.len());
                rest = more;
            }
            assert!($module::check_handshake(payload).is_err());
        }
    };
}

schema!(fuzz_examples, examples);
schema!(fuzz_game, game);
schema!(fuzz_market, market);
schema!(fuzz_torture, torture);

type Target = fn(u16, &[u8], &mut Outcomes);

fn seeds(text: &str) -> Vec<(Target, u16, Vec<u8>)> {
    let mut found: Vec<(Target, u16, Vec<u8>)> = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let target: Target = match words[0] {
            "examples" => fuzz_examples,
            "game" => fuzz_game,
            "market" => fuzz_market,
            "torture" => fuzz_torture,
            other => panic!("no schema {other}"),
        };
        let hex = words[2].as_bytes().chunks_exact(2).map(|pair| std::str::from_utf8(pair).expect("ASCII"));
        let payload = hex.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal digits")).collect();
        found.push((target, words[1].parse().expect("a type id"), payload));
    }
    found
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let seeds = seeds(&std::fs::read_to_string(&arguments[1]).expect("the file of seeds"));
    let executions: u64 = arguments[2].parse().expect("a number of executions");
    let mut random = Random(arguments[3].parse::<u64>().expect("a random seed") | 1);
    let mut outcomes = Outcomes::default();
    for _ in 0..executions {
        let (target, type_id, good) = &seeds[random.below(seeds.len())];
        let mut payload = good.clone();
        damage(&mut payload, &mut random);
        target(*type_id, &payload, &mut outcomes);
    }
    let Outcomes { decoded, broke_rules, rejected, unknown } = outcomes;
    println!("executions {executions} decoded {decoded} broke {broke_rules} rejected {rejected} unknown {unknown}");
}
