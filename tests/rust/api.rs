//! What users of the generated Rust rely on, as tests of `rustc --test`; `tests/test_rust.py` builds and runs them.
//!
//! Beside it are `own.rs` (the example contracts), `game.rs` (another schema) and `odd.rs` (shapes with padding).
#![forbid(unsafe_code)]

mod game;
mod odd;
mod own;

use std::error::Error;

use odd::{DecodeFault, Payload as _};
use own::{
    ArbitrageSignal, FixedString, FixedVec, Frame, FrameHeader, InstrumentMeta, Message, Payload, Ping,
    TradeSignal, TradeTick,
};

fn signal() -> TradeSignal {
    TradeSignal::new(7, "BTC".try_into().unwrap(), true, 0.5, 3, 4)
}

fn arbitrage() -> ArbitrageSignal {
    ArbitrageSignal::new(4_242_424_242, (&[[0xAB; 20]; 2]).try_into().unwrap(), 1234.5, [0xCD; 32], 9)
}

/// Leaves bytes on the stack where later frames will be.
#[inline(never)]
fn dirty_the_stack() -> u64 {
    let bytes = std::hint::black_box([0xA5_u8; 16_384]);
    bytes.iter().map(|byte| u64::from(*byte)).sum()
}

#[inline(never)]
fn shape() -> odd::Shape {
    let text = "abc".try_into().unwrap();
    odd::Shape::new(1, 2, (&[u128::MAX]).try_into().unwrap(), true, text, (&[true]).try_into().unwrap(), f32::NAN)
}

#[test]
fn a_frame_is_the_one_of_the_protocol() {
    let tick = TradeTick::new(101_500, 2_500);
    let frame = [
        0xB0, 0x04, 0x10, 0, 0, 0, 0x7C, 0x8C, 0x01, 0, 0, 0, 0, 0, 0xC4, 0x09, 0, 0, 0, 0, 0, 0,
    ];
    assert_eq!(tick.to_frame(), frame);
    assert_eq!(tick.encode(), frame[6..]);
    assert_eq!(TradeTick::decode(&frame[6..]), Ok(tick.clone()));
    let mut stream = vec![9];
    tick.append_frame(&mut stream);
    assert_eq!(stream[1..], frame);
}

#[test]
fn constants_say_what_the_contract_says() {
    assert_eq!((TradeTick::TYPE_ID, TradeTick::NAME, TradeTick::TOPIC), (1200, "TradeTick", "market-data"));
    assert_eq!((TradeTick::SIZE, TradeTick::FRAME_SIZE, TradeTick::BUFFER_CLASS), (16, 22, 128));
    assert_eq!((TradeTick::CONFIDENTIAL, ArbitrageSignal::CONFIDENTIAL), (false, true));
    let known = own::MESSAGES.iter().find(|each| each.type_id == 1020).unwrap();
    assert_eq!((known.name, known.size, known.confidential), ("ArbitrageSignal", ArbitrageSignal::SIZE, true));
    assert_eq!(Message::from(signal()).definition().name, "TradeSignal");
}

#[test]
fn padding_is_zero_whatever_was_on_the_stack() {
    for _ in 0..3 {
        assert!(dirty_the_stack() > 0);
        let payload = shape().encode();
        let mut expected = [0; odd::Shape::SIZE];
        expected[0] = 1;
        expected[8] = 2;
        expected[16] = 1;
        expected[32..48].fill(0xFF);
        expected[64] = 1;
        expected[66..68].copy_from_slice(&[3, 0]);
        expected[74..77].copy_from_slice(b"abc");
        expected[80..82].copy_from_slice(&[1, 0]);
        expected[88] = 1;
        expected[92..96].copy_from_slice(&f32::NAN.to_bits().to_le_bytes());
        assert_eq!(payload, expected);
    }
}

#[test]
fn what_was_received_in_padding_and_unused_capacity_is_forgotten() {
    let clean = shape().encode();
    let mut dirty = clean;
    for range in [1..8, 18..32, 48..64, 65..66, 68..74, 77..80, 82..88, 89..92] {
        dirty[range].fill(0xEE);
    }
    assert_eq!(odd::Shape::decode(&dirty).unwrap().encode(), clean);
    // Also over another message.
    let mut message = odd::Shape::decode(&clean).unwrap();
    message.text.set("12345").unwrap();
    message.numbers.push(5).unwrap();
    message.decode_from(&dirty).unwrap();
    assert_eq!(message.encode(), clean);
}

#[test]
fn nothing_of_an_older_message_is_sent_after_a_payload_that_did_not_decode() {
    let mut message = shape();
    let mut payload = message.encode();
    payload[16..18].copy_from_slice(&[3, 0]); // of at most two
    assert!(message.decode_from(&payload).is_err());
    message.numbers.clear();
    assert_eq!(message.encode()[16..64], [0; 48]);
}

#[test]
fn faults_are_found_in_the_order_of_the_fields() {
    let good = shape().encode();
    let fault = |at: usize, bytes: &[u8]| {
        let mut payload = good;
        payload[at..at + bytes.len()].copy_from_slice(bytes);
        if at < 80 {
            payload[80..82].fill(0xFF); // a later one
        }
        let error = odd::Shape::decode(&payload).unwrap_err();
        (error.field.unwrap(), error.offset, error.fault)
    };
    assert_eq!(fault(16, &[3, 0]), ("numbers", 16, DecodeFault::Count { capacity: 2 }));
    assert_eq!(fault(64, &[2]), ("flag", 64, DecodeFault::Bool));
    assert_eq!(fault(66, &[6, 0]), ("text", 66, DecodeFault::Count { capacity: 5 }));
    assert_eq!(fault(75, &[0xC3]), ("text", 75, DecodeFault::Utf8));
    assert_eq!(fault(80, &[4, 0]), ("flags", 80, DecodeFault::Count { capacity: 3 }));
    assert_eq!(fault(80, &[2, 0, 0, 0, 0, 0, 0, 0, 1, 9]), ("flags", 89, DecodeFault::Bool));
    let error = odd::Shape::decode(&good[1..]).unwrap_err();
    assert_eq!((error.field, error.offset, error.fault), (None, 0, DecodeFault::Size { given: 95, expected: 96 }));
}

#[test]
fn errors_say_message_field_offset_and_what_is_wrong() {
    let mut payload = signal().encode();
    payload[8..10].copy_from_slice(&[17, 0]);
    let error = TradeSignal::decode(&payload).unwrap_err();
    assert_eq!(error.to_string(), "TradeSignal.symbol: a count over the capacity of 16, at offset 8");
    let error = TradeSignal::decode(&[]).unwrap_err();
    assert_eq!(error.to_string(), "TradeSignal: a payload of 0 bytes where the message has 64, at offset 0");
    let mut bad = signal();
    bad.confidence = 2.0;
    let text = "TradeSignal.confidence: 2.0 breaks the rule max: 1.0, at offset 40";
    assert_eq!(bad.validate().unwrap_err().to_string(), text);
    bad.confidence = f64::NAN;
    assert_eq!(bad.validate().unwrap_err().rule, "min");
    bad.symbol = FixedString::new();
    let error: Box<dyn Error> = bad.validate().unwrap_err().into();
    let text = "TradeSignal.symbol: a value of 0 bytes breaks the rule not_empty, at offset 8";
    assert_eq!(error.to_string(), text);
    let error: Box<dyn Error> = FixedString::<3, 4>::try_from("four").unwrap_err().into();
    assert!(error.to_string().contains("at most 3"), "{error}");
}

#[test]
fn rules_are_no_part_of_decoding() {
    let mut meta = InstrumentMeta::new([1; 20], "0xWETH".try_into().unwrap(), 0, 1);
    assert_eq!(InstrumentMeta::decode(&meta.encode()), Ok(meta.clone()));
    assert_eq!(meta.validate().unwrap_err().rule, "no_0x_prefix");
    meta.symbol.set("WETH").unwrap();
    let error = meta.validate().unwrap_err();
    assert_eq!((error.field, error.rule, error.limit), ("decimals", "min", "1"));
    meta.decimals = 31;
    assert_eq!(Message::from(meta.clone()).validate().unwrap_err().limit, "30");
    meta.decimals = 18;
    assert_eq!(meta.validate(), Ok(()));
    meta.token_address = [0; 20];
    assert_eq!(meta.validate().unwrap_err().rule, "not_zero");
}

#[test]
fn no_value_of_a_confidential_message_is_shown() {
    let mut message = arbitrage();
    let text = format!("{message:?} {:?} {message:#?}", Message::from(message.clone()));
    message.estimated_profit_usd = -1234.5;
    let error = message.validate().unwrap_err();
    message.path.pop().unwrap();
    let other = message.validate().unwrap_err();
    let mut payload = message.encode();
    payload[8..10].copy_from_slice(&4242_u16.to_le_bytes());
    let decode = ArbitrageSignal::decode(&payload).unwrap_err();
    let all = format!("{text} {error} {error:?} {other} {other:?} {decode} {decode:?}");
    assert!(text.contains("<confidential>"));
    for value in ["4242", "1234", "171", "205", "ab", "cd"] {
        let shown = all.to_lowercase().replace("capacity", "");
        assert!(!shown.contains(value), "{value} in {all}");
    }
}

#[test]
fn debug_shows_fields_and_no_padding() {
    let text = format!("{:?}", signal());
    let expected = "TradeSignal { signal_id: 7, symbol: \"BTC\", buy: true, confidence: 0.5, target_price: 3, timestamp: 4 }";
    assert_eq!(text, expected);
}

#[test]
fn text_is_a_str_of_limited_size() {
    let mut text: FixedString<5, 6> = "h\u{e9}llo".try_into().unwrap_or_default();
    assert!(text.is_empty(), "six bytes have no room");
    text.set("h\u{e9}y").unwrap();
    assert_eq!((text.len(), text.capacity(), text.as_str()), (4, 5, "h\u{e9}y"));
    assert!(text.starts_with('h') && text == "h\u{e9}y" && format!("{text}-{text:?}") == "h\u{e9}y-\"h\u{e9}y\"");
    assert_eq!(text.set("123456").unwrap_err().given, 6);
    assert_eq!(text, "h\u{e9}y");
}

#[test]
fn elements_are_a_slice_of_limited_size() {
    let mut list: FixedVec<u16, 3, 6, 0> = (&[1, 2]).try_into().unwrap();
    list.push(3).unwrap();
    assert_eq!(list.push(4).unwrap_err().capacity, 3);
    list[0] = 9;
    assert_eq!((list.as_slice(), list.len(), list.capacity()), (&[9, 2, 3][..], 3, 3));
    assert_eq!(list.clone().into_iter().chain(list.iter().copied()).sum::<u16>(), 28);
    assert_eq!(list.pop(), Some(3));
    assert_eq!(format!("{list:?}"), "[9, 2]");
    list.clear();
    assert_eq!((list.pop(), list.first()), (None, None));
    assert!(FixedVec::<u16, 3, 6, 0>::try_from([0; 4].as_slice()).is_err());
}

#[test]
fn what_was_taken_away_is_not_sent() {
    let mut message = shape();
    message.numbers.push(77).unwrap();
    message.numbers.pop().unwrap();
    message.text.set("12345").unwrap();
    message.text.set("abc").unwrap();
    message.flags.set(&[true, true, true]).unwrap();
    message.flags.set(&[true]).unwrap();
    assert_eq!(message.encode(), shape().encode());
    // Nor what came in a payload that was refused half-way.
    let mut payload = shape().encode();
    payload[80..91].copy_from_slice(&[3, 0, 0, 0, 0, 0, 0, 0, 1, 1, 9]);
    message.decode_from(&payload).unwrap_err();
    assert_eq!(message.encode()[80..92], [0; 12]);
}

#[test]
fn bits_of_a_nan_are_kept() {
    for bits in [0x7F80_0001_u32, 0xFFC0_1234, 0x7FBF_FFFF] {
        let mut payload = shape().encode();
        payload[92..96].copy_from_slice(&bits.to_le_bytes());
        assert_eq!(odd::Shape::decode(&payload).unwrap().encode(), payload);
    }
}

#[test]
fn any_message_decodes_by_its_type_id() {
    let frame = signal().to_frame();
    let (found, rest) = Frame::split(&frame).unwrap().unwrap();
    assert!(rest.is_empty());
    match Message::decode(found.type_id, found.payload).unwrap() {
        Some(Message::TradeSignal(message)) => assert_eq!(message, signal()),
        other => panic!("{other:?}"),
    }
    assert_eq!(Message::decode(9999, &[]), Ok(None));
    assert_eq!(Message::decode(1200, &[]).unwrap_err().message, "TradeTick");
    let mut stream = Vec::new();
    Message::from(signal()).append_frame(&mut stream);
    assert_eq!(stream, frame);
}

#[test]
fn streams_are_cut_into_frames_and_none_is_too_long() {
    let mut stream = TradeTick::new(1, 2).to_frame().to_vec();
    stream.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0xB0]);
    let (first, rest) = Frame::split(&stream).unwrap().unwrap();
    assert_eq!((first.type_id, first.payload.len()), (1200, 16));
    let (second, rest) = Frame::split(rest).unwrap().unwrap();
    assert_eq!((second.type_id, second.payload, rest), (1, &[][..], &[0xB0][..]));
    assert_eq!(Frame::split(rest), Ok(None));
    let header = FrameHeader { type_id: 5, length: 16_777_216 };
    assert_eq!(FrameHeader::read(&header.to_bytes()), Ok(Some(header)));
    assert_eq!(Frame::split(&header.to_bytes()), Ok(None));
    let error = FrameHeader::read(&[5, 0, 1, 0, 0, 1]).unwrap_err();
    assert_eq!((error.type_id, error.length), (5, 16_777_217));
    assert!(error.to_string().contains("16777217"), "{error}");
}

#[test]
fn a_handshake_of_other_contracts_is_refused() {
    assert_eq!(own::HANDSHAKE[..2], [32, 0]);
    assert_eq!(own::HANDSHAKE[2..], own::SCHEMA_DIGEST);
    assert_eq!(own::check_handshake(&own::HANDSHAKE), Ok(()));
    let error = own::check_handshake(&game::HANDSHAKE).unwrap_err();
    assert_eq!(error.digest, Some(game::SCHEMA_DIGEST));
    assert!(error.to_string().contains(&format!("{:02x}{:02x}", game::SCHEMA_DIGEST[0], game::SCHEMA_DIGEST[1])));
    for wrong in [&own::HANDSHAKE[..33], &[], &[33; 34]] {
        assert_eq!(own::check_handshake(wrong).unwrap_err().digest, None);
    }
}

#[test]
fn a_buffer_may_be_longer_and_never_shorter() {
    let mut buffer = [0xFF; 20];
    assert_eq!(TradeTick::new(1, 2).encode_into(&mut buffer), Ok(()));
    assert_eq!(buffer[..16], TradeTick::new(1, 2).encode());
    assert_eq!(buffer[16..], [0xFF; 4]);
    let mut short = [7; 15];
    let error = TradeTick::new(1, 2).encode_into(&mut short).unwrap_err();
    assert_eq!((error.given, error.needed, short), (15, 16, [7; 15]));
}

#[test]
fn a_default_message_is_all_zeros() {
    assert_eq!(TradeSignal::default().encode(), [0; 64]);
    assert_eq!(odd::Shape::default(), odd::Shape::decode(&[0; 96]).unwrap());
    assert_eq!(Ping::default().value, "");
}

#[test]
fn two_schemas_live_in_one_program() {
    assert_ne!(own::SCHEMA_DIGEST, game::SCHEMA_DIGEST);
    fn names<const N: usize>(messages: [&'static str; N]) -> Vec<&'static str> {
        messages.to_vec()
    }
    assert!(names(own::MESSAGES.map(|each| each.name)).contains(&"TradeTick"));
    assert!(!names(game::MESSAGES.map(|each| each.name)).contains(&"TradeTick"));
}

#[test]
fn a_message_of_megabytes_decodes_on_the_heap() {
    // In an unoptimised build the message passes over the stack once.
    let run = || {
        let payload = vec![0; odd::Large::SIZE];
        let message = odd::Large::decode_boxed(&payload).unwrap();
        let any = Message::decode(1200, &[0; 16]).unwrap();
        let large = odd::Message::decode(odd::Large::TYPE_ID, &payload).unwrap().unwrap();
        let mut stream = Vec::new();
        large.append_frame(&mut stream);
        assert_eq!(large, odd::Message::Large(message));
        (any.is_some(), stream.len())
    };
    let size = if cfg!(debug_assertions) { 4 * odd::Large::SIZE } else { 256 * 1024 };
    let thread = std::thread::Builder::new().stack_size(size).spawn(run).unwrap();
    assert_eq!(thread.join().unwrap(), (true, odd::Large::FRAME_SIZE));
}
