// Generated from contracts.yaml by mycelium-fast, do not edit.
// sha256 63d26a783f134bb35f2581697789af4fb045a742730dd6a84d6e0d4d490c11b9

//! Messages for Mycelium peers: structs laid out as their payloads, with checked decoding, encoding and rules.
//!
//! Needs nothing but the standard library, and has no `unsafe`. Add it to a crate as `mod messages;`.
//! A payload is little-endian on the wire whatever the host; the structs hold numbers as the host does.

#![forbid(unsafe_code)]
// A program seldom uses all of it, and a contract may name and number things as it likes.
#![allow(dead_code, non_camel_case_types, non_snake_case)]
#![allow(clippy::all, clippy::pedantic)]

use std::error::Error;
use std::fmt;
use std::ops::{Deref, DerefMut};

/// SHA-256 over the bytes of the contracts file: peers understand each other if theirs are equal.
pub const SCHEMA_DIGEST: [u8; DIGEST_LENGTH] = [
    0x63, 0xd2, 0x6a, 0x78, 0x3f, 0x13, 0x4b, 0xb3, 0x5f, 0x25, 0x81, 0x69, 0x77, 0x89, 0xaf, 0x4f,
    0xb0, 0x45, 0xa7, 0x42, 0x73, 0x0d, 0xd6, 0xa8, 0x4d, 0x6e, 0x0d, 0x4d, 0x49, 0x0c, 0x11, 0xb9,
];
/// Bytes of a digest.
pub const DIGEST_LENGTH: usize = 32;
/// What the end that connects sends before its first frame: the digest's length as `u16`, then the digest.
pub const HANDSHAKE: [u8; 2 + DIGEST_LENGTH] = {
    let mut bytes = [0; 2 + DIGEST_LENGTH];
    bytes[0] = DIGEST_LENGTH as u8;
    let mut index = 0;
    while index < DIGEST_LENGTH {
        bytes[2 + index] = SCHEMA_DIGEST[index];
        index += 1;
    }
    bytes
};
/// Bytes before a payload: type id as `u16`, length of the payload as `u32`.
pub const HEADER_SIZE: usize = 6;
/// The longest payload that is accepted, in bytes.
pub const MAX_PAYLOAD: usize = 16_777_216;

/// Checks the 34 bytes that a peer sends on connecting.
///
/// # Errors
/// The bytes are not those of [`HANDSHAKE`]: close the connection.
pub fn check_handshake(bytes: &[u8]) -> Result<(), HandshakeError> {
    if bytes == HANDSHAKE.as_slice() {
        return Ok(());
    }
    let mut digest = [0; DIGEST_LENGTH];
    if bytes.len() == HANDSHAKE.len() && bytes[..2] == HANDSHAKE[..2] {
        digest.copy_from_slice(&bytes[2..]);
        return Err(HandshakeError { digest: Some(digest) });
    }
    Err(HandshakeError { digest: None })
}

// --- Frames ------------------------------------------------------------------------------------------------

/// What stands before every payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FrameHeader {
    /// Type id of the message.
    pub type_id: u16,
    /// Bytes of payload that follow.
    pub length: u32,
}

impl FrameHeader {
    /// Reads the header at the start of `bytes`; `None` where fewer than [`HEADER_SIZE`] are there.
    ///
    /// # Errors
    /// A payload of more than [`MAX_PAYLOAD`] bytes is announced: close the connection.
    pub fn read(bytes: &[u8]) -> Result<Option<Self>, FrameError> {
        let Some(bytes) = bytes.get(..HEADER_SIZE) else {
            return Ok(None);
        };
        let type_id = u16::from_le_bytes([bytes[0], bytes[1]]);
        let length = u32::from_le_bytes([bytes[2], bytes[3], bytes[4], bytes[5]]);
        if length > MAX_PAYLOAD as u32 {
            return Err(FrameError { type_id, length });
        }
        Ok(Some(Self { type_id, length }))
    }

    /// The header as bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; HEADER_SIZE] {
        let ([a, b], [c, d, e, f]) = (self.type_id.to_le_bytes(), self.length.to_le_bytes());
        [a, b, c, d, e, f]
    }
}

/// One frame within a stream of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Type id of the message.
    pub type_id: u16,
    /// The message's bytes.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Splits the first frame off a stream: the frame and the bytes after it, or `None` where it is not complete.
    ///
    /// # Errors
    /// A payload of more than [`MAX_PAYLOAD`] bytes is announced: close the connection.
    pub fn split(stream: &'a [u8]) -> Result<Option<(Self, &'a [u8])>, FrameError> {
        let Some(header) = FrameHeader::read(stream)? else {
            return Ok(None);
        };
        let (type_id, length) = (header.type_id, header.length as usize);
        let body = &stream[HEADER_SIZE..];
        if body.len() < length {
            return Ok(None);
        }
        let (payload, rest) = body.split_at(length);
        Ok(Some((Self { type_id, payload }, rest)))
    }
}

// --- Errors ------------------------------------------------------------------------------------------------

/// Received bytes that are no payload of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// The message, as the contract names it.
    pub message: &'static str,
    /// The field, as the contract names it; `None` where the payload as a whole is wrong.
    pub field: Option<&'static str>,
    /// Where the fault is, in bytes from the payload's start.
    pub offset: usize,
    /// What is wrong.
    pub fault: DecodeFault,
}

/// What can be wrong with a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeFault {
    /// Another size than the message has, in bytes.
    Size {
        /// Bytes given.
        given: usize,
        /// Bytes of the message.
        expected: usize,
    },
    /// A count over the field's capacity.
    Count {
        /// Bytes of text or elements that the field can hold.
        capacity: usize,
    },
    /// A `bool` that is neither 0 nor 1.
    Bool,
    /// Text that is not UTF-8.
    Utf8,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message)?;
        if let Some(field) = self.field {
            write!(f, ".{field}")?;
        }
        match self.fault {
            DecodeFault::Size { given, expected } => {
                write!(f, ": a payload of {given} bytes where the message has {expected}")?;
            }
            DecodeFault::Count { capacity } => write!(f, ": a count over the capacity of {capacity}")?,
            DecodeFault::Bool => f.write_str(": a bool that is neither 0 nor 1")?,
            DecodeFault::Utf8 => f.write_str(": text that is not UTF-8")?,
        }
        write!(f, ", at offset {}", self.offset)
    }
}

/// A value against a rule of the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    /// The message, as the contract names it.
    pub message: &'static str,
    /// The field, as the contract names it.
    pub field: &'static str,
    /// The rule.
    pub rule: &'static str,
    /// The rule's limit; empty where it has none.
    pub limit: &'static str,
    /// Where the field begins, in bytes from the payload's start.
    pub offset: usize,
    /// A number as it is, of all else the size; `the value` where the message is confidential.
    pub value: String,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { message, field, rule, limit, offset, value } = self;
        let colon = if limit.is_empty() { "" } else { ": " };
        write!(f, "{message}.{field}: {value} breaks the rule {rule}{colon}{limit}, at offset {offset}")
    }
}

/// More text or elements than a field can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapacityError {
    /// Bytes of text, or elements, given.
    pub given: usize,
    /// How many there is room for.
    pub capacity: usize,
}

impl fmt::Display for CapacityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} given (bytes of UTF-8, or elements), the field takes at most {}", self.given, self.capacity)
    }
}

/// A buffer too small for what was to be written to it; it is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferError {
    /// Bytes in the buffer.
    pub given: usize,
    /// Bytes needed.
    pub needed: usize,
}

impl fmt::Display for BufferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a buffer of {} bytes, {} are needed", self.given, self.needed)
    }
}

/// The header of a frame that is longer than [`MAX_PAYLOAD`]: the stream cannot be followed further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameError {
    /// Type id in the header.
    pub type_id: u16,
    /// Bytes of payload announced.
    pub length: u32,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { type_id, length } = self;
        write!(f, "a frame of type id {type_id} announces {length} bytes, at most {MAX_PAYLOAD} are accepted; ")?;
        f.write_str("close the connection, and check that the peer speaks this protocol")
    }
}

/// A peer whose messages are of another contracts file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeError {
    /// The peer's digest; `None` where it sent no digest of 32 bytes.
    pub digest: Option<[u8; DIGEST_LENGTH]>,
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn hex(f: &mut fmt::Formatter<'_>, digest: &[u8]) -> fmt::Result {
            digest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
        }
        match &self.digest {
            None => f.write_str("the peer began with no schema digest")?,
            Some(digest) => {
                f.write_str("the peer's schema digest is ")?;
                hex(f, digest)?;
            }
        }
        f.write_str(", expected ")?;
        hex(f, &SCHEMA_DIGEST)?;
        f.write_str("; generate the code of both from the same contracts file")
    }
}

impl Error for DecodeError {}
impl Error for RuleError {}
impl Error for CapacityError {}
impl Error for BufferError {}
impl Error for FrameError {}
impl Error for HandshakeError {}

// --- Text and lists of limited size ------------------------------------------------------------------------

/// Text of at most `CAPACITY` bytes of UTF-8, as it lies in a payload.
///
/// `STORAGE` is `CAPACITY` rounded up to an even number. Reading the text checks its UTF-8 each time, since
/// nothing here is `unsafe`; take it once where it is read often.
#[derive(Clone)]
#[repr(C)]
pub struct FixedString<const CAPACITY: usize, const STORAGE: usize> {
    count: u16,
    zeros: [u8; 6],
    data: [u8; STORAGE],
}

impl<const CAPACITY: usize, const STORAGE: usize> FixedString<CAPACITY, STORAGE> {
    const SHAPE: () = assert!(CAPACITY <= STORAGE && CAPACITY <= u16::MAX as usize, "no type of a contract");

    /// No text.
    #[must_use]
    pub const fn new() -> Self {
        let () = Self::SHAPE;
        Self { count: 0, zeros: [0; 6], data: [0; STORAGE] }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default() // always valid: checked when it was set
    }

    /// The text's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.data[..self.len()]
    }

    /// Bytes of the text.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count.into()
    }

    /// Whether there is no text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes that there is room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        CAPACITY
    }

    /// Replaces the text.
    ///
    /// # Errors
    /// It takes more than `CAPACITY` bytes; the old one stays.
    pub fn set(&mut self, text: &str) -> Result<(), CapacityError> {
        let () = Self::SHAPE;
        if text.len() > CAPACITY {
            return Err(CapacityError { given: text.len(), capacity: CAPACITY });
        }
        self.replace(text.as_bytes());
        Ok(())
    }

    fn replace(&mut self, text: &[u8]) {
        self.count = text.len() as u16;
        let (used, unused) = self.data.split_at_mut(text.len());
        used.copy_from_slice(text);
        unused.fill(0);
    }
}

impl<const CAPACITY: usize, const STORAGE: usize> Default for FixedString<CAPACITY, STORAGE> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const CAPACITY: usize, const STORAGE: usize> TryFrom<&str> for FixedString<CAPACITY, STORAGE> {
    type Error = CapacityError;

    fn try_from(text: &str) -> Result<Self, CapacityError> {
        let mut value = Self::new();
        value.set(text)?;
        Ok(value)
    }
}

impl<const CAPACITY: usize, const STORAGE: usize> Deref for FixedString<CAPACITY, STORAGE> {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl<const CAPACITY: usize, const STORAGE: usize> fmt::Display for FixedString<CAPACITY, STORAGE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

impl<const CAPACITY: usize, const STORAGE: usize> fmt::Debug for FixedString<CAPACITY, STORAGE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl<const CAPACITY: usize, const STORAGE: usize> PartialEq for FixedString<CAPACITY, STORAGE> {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl<const CAPACITY: usize, const STORAGE: usize> Eq for FixedString<CAPACITY, STORAGE> {}

impl<const CAPACITY: usize, const STORAGE: usize> PartialEq<str> for FixedString<CAPACITY, STORAGE> {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl<const CAPACITY: usize, const STORAGE: usize> PartialEq<&str> for FixedString<CAPACITY, STORAGE> {
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

/// At most `CAPACITY` elements, as they lie in a payload with `BEFORE` and `AFTER` bytes of padding around them.
#[derive(Clone)]
#[repr(C)]
pub struct FixedVec<T, const CAPACITY: usize, const BEFORE: usize, const AFTER: usize> {
    count: u16,
    before: [u8; BEFORE],
    items: [T; CAPACITY],
    after: [u8; AFTER],
}

impl<T: wire::Element, const CAPACITY: usize, const BEFORE: usize, const AFTER: usize>
    FixedVec<T, CAPACITY, BEFORE, AFTER>
{
    const SHAPE: () = assert!(CAPACITY <= u16::MAX as usize, "no type of a contract");

    /// No elements.
    #[must_use]
    pub const fn new() -> Self {
        let () = Self::SHAPE;
        Self { count: 0, before: [0; BEFORE], items: [T::ZERO; CAPACITY], after: [0; AFTER] }
    }

    /// The elements.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        &self.items[..self.count.into()]
    }

    /// The elements, to change them.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.items[..self.count.into()]
    }

    /// How many elements there is room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        CAPACITY
    }

    /// Adds an element at the end.
    ///
    /// # Errors
    /// There is no room.
    pub fn push(&mut self, item: T) -> Result<(), CapacityError> {
        let count = usize::from(self.count);
        let Some(free) = self.items.get_mut(count) else {
            return Err(CapacityError { given: count + 1, capacity: CAPACITY });
        };
        *free = item;
        self.count += 1;
        Ok(())
    }

    /// Takes the last element away.
    pub fn pop(&mut self) -> Option<T> {
        let last = self.as_mut_slice().last_mut()?;
        let item = *last;
        *last = T::ZERO;
        self.count -= 1;
        Some(item)
    }

    /// Takes all elements away.
    pub fn clear(&mut self) {
        self.as_mut_slice().fill(T::ZERO);
        self.count = 0;
    }

    /// Replaces the elements.
    ///
    /// # Errors
    /// There are more than `CAPACITY`; the old ones stay.
    pub fn set(&mut self, items: &[T]) -> Result<(), CapacityError> {
        if items.len() > CAPACITY {
            return Err(CapacityError { given: items.len(), capacity: CAPACITY });
        }
        let (used, unused) = self.items.split_at_mut(items.len());
        used.copy_from_slice(items);
        unused.fill(T::ZERO);
        self.count = items.len() as u16;
        Ok(())
    }
}

impl<T: wire::Element, const CAPACITY: usize, const BEFORE: usize, const AFTER: usize> Default
    for FixedVec<T, CAPACITY, BEFORE, AFTER>
{
    fn default() -> Self {
        Self::new()
    }
}

impl<T: wire::Element, const CAPACITY: usize, const BEFORE: usize, const AFTER: usize> TryFrom<&[T]>
    for FixedVec<T, CAPACITY, BEFORE, AFTER>
{
    type Error = CapacityError;

    fn try_from(items: &[T]) -> Result<Self, CapacityError> {
        let mut value = Self::new();
        value.set(items)?;
        Ok(value)
    }
}

impl<T: wire::Element, const CAPACITY: usize, const BEFORE: usize, const AFTER: usize, const N: usize>
    TryFrom<&[T; N]> for FixedVec<T, CAPACITY, BEFORE, AFTER>
{
    type Error = CapacityError;

    fn try_from(items: &[T; N]) -> Result<Self, CapacityError> {
        Self::try_from(items.as_slice())
    }
}

impl<T: wire::Element, const CAPACITY: usize, const BEFORE: usize, const AFTER: usize> Deref
    for FixedVec<T, CAPACITY, BEFORE, AFTER>
{
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.as_slice()
    }
}

impl<T: wire::Element, const CAPACITY: usize, const BEFORE: usize, const AFTER: usize> DerefMut
    for FixedVec<T, CAPACITY, BEFORE, AFTER>
{
    fn deref_mut(&mut self) -> &mut [T] {
        self.as_mut_slice()
    }
}

impl<T: wire::Element, const CAPACITY: usize, const BEFORE: usize, const AFTER: usize> IntoIterator
    for FixedVec<T, CAPACITY, BEFORE, AFTER>
{
    type Item = T;
    type IntoIter = std::iter::Take<std::array::IntoIter<T, CAPACITY>>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter().take(self.count.into())
    }
}

impl<'a, T: wire::Element, const CAPACITY: usize, const BEFORE: usize, const AFTER: usize> IntoIterator
    for &'a FixedVec<T, CAPACITY, BEFORE, AFTER>
{
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.as_slice().iter()
    }
}

impl<T: wire::Element, const CAPACITY: usize, const BEFORE: usize, const AFTER: usize> fmt::Debug
    for FixedVec<T, CAPACITY, BEFORE, AFTER>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl<T: wire::Element, const CAPACITY: usize, const BEFORE: usize, const AFTER: usize> PartialEq
    for FixedVec<T, CAPACITY, BEFORE, AFTER>
{
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

// --- Fields to bytes and back ------------------------------------------------------------------------------

mod wire {
    use super::{DecodeError, DecodeFault, FixedString, FixedVec};

    /// A fault, and where it is in bytes from the field's start.
    pub type Fault = (usize, DecodeFault);

    /// What a field may be. Byte slices are of exactly `SIZE` bytes.
    pub trait Field: Sized {
        const SIZE: usize;
        const ZERO: Self;
        /// Takes the value from its bytes, in place so that a large one needs no stack.
        fn get(&mut self, bytes: &[u8]) -> Result<(), Fault>;
        /// Writes every byte, those of padding too.
        fn put(&self, bytes: &mut [u8]);
        /// Whether every bit of the value is zero.
        fn is_zero(&self) -> bool;
    }

    /// What may stand in an array or a `FixedVec`.
    pub trait Element: Field + Copy + PartialEq + std::fmt::Debug {}

    macro_rules! numbers {
        ($($number:ty, $zero:literal, $is_zero:expr;)*) => {$(
            impl Field for $number {
                const SIZE: usize = std::mem::size_of::<$number>();
                const ZERO: Self = $zero;

                fn get(&mut self, bytes: &[u8]) -> Result<(), Fault> {
                    let mut raw = [0; Self::SIZE];
                    raw.copy_from_slice(bytes);
                    *self = <$number>::from_le_bytes(raw);
                    Ok(())
                }

                fn put(&self, bytes: &mut [u8]) {
                    bytes.copy_from_slice(&self.to_le_bytes());
                }

                fn is_zero(&self) -> bool {
                    let is_zero: fn($number) -> bool = $is_zero;
                    is_zero(*self)
                }
            }

            impl Element for $number {}
        )*};
    }

    numbers! {
        u8, 0, |value| value == 0;
        u16, 0, |value| value == 0;
        u32, 0, |value| value == 0;
        u64, 0, |value| value == 0;
        u128, 0, |value| value == 0;
        i8, 0, |value| value == 0;
        i16, 0, |value| value == 0;
        i32, 0, |value| value == 0;
        i64, 0, |value| value == 0;
        i128, 0, |value| value == 0;
        f32, 0.0, |value| value.to_bits() == 0;
        f64, 0.0, |value| value.to_bits() == 0;
    }

    impl Field for bool {
        const SIZE: usize = 1;
        const ZERO: Self = false;

        fn get(&mut self, bytes: &[u8]) -> Result<(), Fault> {
            if bytes[0] > 1 {
                return Err((0, DecodeFault::Bool));
            }
            *self = bytes[0] == 1;
            Ok(())
        }

        fn put(&self, bytes: &mut [u8]) {
            bytes[0] = u8::from(*self);
        }

        fn is_zero(&self) -> bool {
            !*self
        }
    }

    impl Element for bool {}

    impl<T: Element, const N: usize> Field for [T; N] {
        const SIZE: usize = N * T::SIZE;
        const ZERO: Self = [T::ZERO; N];

        fn get(&mut self, bytes: &[u8]) -> Result<(), Fault> {
            get_all(self, bytes)
        }

        fn put(&self, bytes: &mut [u8]) {
            put_all(self, bytes);
        }

        fn is_zero(&self) -> bool {
            self.iter().all(T::is_zero)
        }
    }

    impl<T: Element, const N: usize> Element for [T; N] {}

    fn get_all<T: Element>(items: &mut [T], bytes: &[u8]) -> Result<(), Fault> {
        for (index, (item, bytes)) in items.iter_mut().zip(bytes.chunks_exact(T::SIZE)).enumerate() {
            item.get(bytes).map_err(|(at, fault)| (index * T::SIZE + at, fault))?;
        }
        Ok(())
    }

    fn put_all<T: Element>(items: &[T], bytes: &mut [u8]) {
        for (item, bytes) in items.iter().zip(bytes.chunks_exact_mut(T::SIZE)) {
            item.put(bytes);
        }
    }

    /// The count at the start of a field.
    fn get_count(bytes: &[u8], capacity: usize) -> Result<u16, Fault> {
        let count = u16::from_le_bytes([bytes[0], bytes[1]]);
        if usize::from(count) > capacity {
            return Err((0, DecodeFault::Count { capacity }));
        }
        Ok(count)
    }

    impl<const CAPACITY: usize, const STORAGE: usize> Field for FixedString<CAPACITY, STORAGE> {
        const SIZE: usize = 8 + STORAGE;
        const ZERO: Self = Self::new();

        fn get(&mut self, bytes: &[u8]) -> Result<(), Fault> {
            let count = get_count(bytes, CAPACITY)?;
            let text = &bytes[8..8 + usize::from(count)];
            if let Err(error) = std::str::from_utf8(text) {
                return Err((8 + error.valid_up_to(), DecodeFault::Utf8));
            }
            self.replace(text);
            Ok(())
        }

        fn put(&self, bytes: &mut [u8]) {
            bytes[..2].copy_from_slice(&self.count.to_le_bytes());
            bytes[2..8].fill(0);
            bytes[8..].copy_from_slice(&self.data);
        }

        fn is_zero(&self) -> bool {
            self.count == 0
        }
    }

    impl<T: Element, const CAPACITY: usize, const BEFORE: usize, const AFTER: usize> Field
        for FixedVec<T, CAPACITY, BEFORE, AFTER>
    {
        const SIZE: usize = 2 + BEFORE + CAPACITY * T::SIZE + AFTER;
        const ZERO: Self = Self::new();

        fn get(&mut self, bytes: &[u8]) -> Result<(), Fault> {
            let count = get_count(bytes, CAPACITY)?;
            let (used, unused) = self.items.split_at_mut(count.into());
            if let Err((at, fault)) = get_all(used, &bytes[2 + BEFORE..]) {
                self.count = 0;
                self.items.fill(T::ZERO);
                return Err((2 + BEFORE + at, fault));
            }
            unused.fill(T::ZERO);
            self.count = count;
            Ok(())
        }

        fn put(&self, bytes: &mut [u8]) {
            let (head, body) = bytes.split_at_mut(2 + BEFORE);
            let (items, after) = body.split_at_mut(CAPACITY * T::SIZE);
            head.fill(0);
            head[..2].copy_from_slice(&self.count.to_le_bytes());
            put_all(&self.items, items);
            after.fill(0);
        }

        fn is_zero(&self) -> bool {
            self.as_slice().iter().all(T::is_zero)
        }
    }

    /// Takes a field from a payload whose size has been checked.
    pub fn get<T: Field>(
        value: &mut T,
        payload: &[u8],
        offset: usize,
        message: &'static str,
        field: &'static str,
    ) -> Result<(), DecodeError> {
        value.get(&payload[offset..offset + T::SIZE]).map_err(|(at, fault)| DecodeError {
            message,
            field: Some(field),
            offset: offset + at,
            fault,
        })
    }

    /// Writes a field to a payload whose size has been checked.
    pub fn put<T: Field>(value: &T, payload: &mut [u8], offset: usize) {
        value.put(&mut payload[offset..offset + T::SIZE]);
    }
}

/// A number as `U256` has it, in 32 bytes, the highest first.
#[must_use]
pub const fn u256(high: u128, low: u128) -> [u8; 32] {
    let (high, low) = (high.to_be_bytes(), low.to_be_bytes());
    let mut bytes = [0; 32];
    let mut index = 0;
    while index < 16 {
        bytes[index] = high[index];
        bytes[16 + index] = low[index];
        index += 1;
    }
    bytes
}

fn has_0x_prefix(text: &[u8]) -> bool {
    matches!(text, [b'0', b'x' | b'X', ..])
}

// --- Messages ----------------------------------------------------------------------------------------------

/// What every message has.
pub trait Payload: Clone + Default + PartialEq + fmt::Debug + Into<Message> {
    /// Its number on the wire.
    const TYPE_ID: u16;
    /// Its name in the contract.
    const NAME: &'static str;
    /// The topic that it belongs to.
    const TOPIC: &'static str;
    /// Bytes of its payload.
    const SIZE: usize;
    /// The alignment of its struct in bytes.
    const ALIGN: usize;
    /// Bytes of its frame.
    const FRAME_SIZE: usize = HEADER_SIZE + Self::SIZE;
    /// The frame's size rounded up to a power of two, at least 128: for peers that pool buffers by class.
    const BUFFER_CLASS: usize;
    /// Whether no value of it may be shown, in a log say.
    const CONFIDENTIAL: bool;

    /// Replaces this message by one from a payload; after an error the values are no message of anybody's.
    ///
    /// # Errors
    /// As of `decode`.
    fn decode_from(&mut self, payload: &[u8]) -> Result<(), DecodeError>;

    /// Checks the rules of the contract, which decoding leaves alone.
    ///
    /// # Errors
    /// The first rule that a value breaks, in the order of the fields.
    fn validate(&self) -> Result<(), RuleError>;

    /// Writes the payload to the first `SIZE` bytes of a buffer.
    ///
    /// # Errors
    /// The buffer has fewer.
    fn encode_into(&self, buffer: &mut [u8]) -> Result<(), BufferError>;

    /// A message from its payload of exactly `SIZE` bytes. Padding and unused capacity are ignored.
    ///
    /// # Errors
    /// Another size, a count over the capacity, a `bool` that is neither 0 nor 1, text that is not UTF-8: the
    /// first in the order of the fields.
    fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut message = Self::default();
        message.decode_from(payload)?;
        Ok(message)
    }

    /// The same on the heap, for messages that are large for a stack.
    ///
    /// # Errors
    /// As of `decode`.
    fn decode_boxed(payload: &[u8]) -> Result<Box<Self>, DecodeError> {
        let mut message = Box::<Self>::default();
        message.decode_from(payload)?;
        Ok(message)
    }

    /// Appends the frame, header and payload, to what is to be sent.
    fn append_frame(&self, stream: &mut Vec<u8>) {
        let start = stream.len();
        let header = FrameHeader { type_id: Self::TYPE_ID, length: Self::SIZE as u32 };
        stream.extend_from_slice(&header.to_bytes());
        stream.resize(start + Self::FRAME_SIZE, 0);
        // There is room: it was just made.
        let _ = self.encode_into(&mut stream[start + HEADER_SIZE..]);
    }
}

/// What is known of a message without having one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Its number on the wire.
    pub type_id: u16,
    /// Its name in the contract.
    pub name: &'static str,
    /// The topic that it belongs to.
    pub topic: &'static str,
    /// Bytes of its payload.
    pub size: usize,
    /// The alignment of its struct in bytes.
    pub align: usize,
    /// The frame's size rounded up to a power of two, at least 128.
    pub buffer_class: usize,
    /// Whether no value of it may be shown.
    pub confidential: bool,
}

impl Definition {
    const fn of<M: Payload>() -> Self {
        Self {
            type_id: M::TYPE_ID,
            name: M::NAME,
            topic: M::TOPIC,
            size: M::SIZE,
            align: M::ALIGN,
            buffer_class: M::BUFFER_CLASS,
            confidential: M::CONFIDENTIAL,
        }
    }
}

/// Every message, in the order of the contract.
pub const MESSAGES: [Definition; 9] = [
    Definition::of::<TextMessage>(),
    Definition::of::<Ping>(),
    Definition::of::<Pong>(),
    Definition::of::<PoolStateUpdate>(),
    Definition::of::<InstrumentMeta>(),
    Definition::of::<ArbitrageSignal>(),
    Definition::of::<TradeTick>(),
    Definition::of::<TradeSignal>(),
    Definition::of::<Order>(),
];

/// A line of text from a named sender
///
/// Topic examples, type id 1001, 312 bytes.
#[derive(Clone, PartialEq)]
#[repr(C, align(8))]
pub struct TextMessage {
    /// Name of the sender, at most 32 bytes of UTF-8
    ///
    /// `String`, at most 32 bytes of UTF-8; bytes 0 to 40 of the payload. Rules: `not_empty`.
    pub sender: FixedString<32, 32>,
    /// The text, at most 256 bytes of UTF-8
    ///
    /// `String`, at most 256 bytes of UTF-8; bytes 40 to 304 of the payload. Rules: `not_empty`.
    pub content: FixedString<256, 256>,
    /// When it was sent, in nanoseconds since 1970-01-01 UTC
    ///
    /// `u64`; bytes 304 to 312 of the payload.
    pub timestamp: u64,
}

const _: () = {
    assert!(std::mem::size_of::<TextMessage>() == 312);
    assert!(std::mem::align_of::<TextMessage>() == 8);
    assert!(std::mem::offset_of!(TextMessage, sender) == 0);
    assert!(std::mem::offset_of!(TextMessage, content) == 40);
    assert!(std::mem::offset_of!(TextMessage, timestamp) == 304);
};

impl TextMessage {
    const ZERO: Self = Self {
        sender: wire::Field::ZERO,
        content: wire::Field::ZERO,
        timestamp: wire::Field::ZERO,
    };

    /// A message from its values, in the order of the contract. Rules are not checked: see `validate`.
    #[must_use]
    pub const fn new(
        sender: FixedString<32, 32>,
        content: FixedString<256, 256>,
        timestamp: u64,
    ) -> Self {
        Self {
            sender,
            content,
            timestamp,
        }
    }

    /// The payload.
    #[must_use]
    pub fn encode(&self) -> [u8; 312] {
        let mut payload = [0; 312];
        self.write(&mut payload);
        payload
    }

    /// The frame: header and payload.
    #[must_use]
    pub fn to_frame(&self) -> [u8; 318] {
        let mut frame = [0; 318];
        let header = FrameHeader { type_id: 1001, length: 312 };
        frame[..HEADER_SIZE].copy_from_slice(&header.to_bytes());
        self.write(&mut frame[HEADER_SIZE..]);
        frame
    }

    /// Writes every byte of a payload of exactly this size.
    fn write(&self, payload: &mut [u8]) {
        wire::put(&self.sender, payload, 0);
        wire::put(&self.content, payload, 40);
        wire::put(&self.timestamp, payload, 304);
    }
}

impl Payload for TextMessage {
    const TYPE_ID: u16 = 1001;
    const NAME: &'static str = "TextMessage";
    const TOPIC: &'static str = "examples";
    const SIZE: usize = 312;
    const ALIGN: usize = 8;
    const BUFFER_CLASS: usize = 512;
    const CONFIDENTIAL: bool = false;

    fn decode_from(&mut self, payload: &[u8]) -> Result<(), DecodeError> {
        if payload.len() != Self::SIZE {
            let fault = DecodeFault::Size { given: payload.len(), expected: Self::SIZE };
            return Err(DecodeError { message: Self::NAME, field: None, offset: 0, fault });
        }
        wire::get(&mut self.sender, payload, 0, Self::NAME, "sender")?;
        wire::get(&mut self.content, payload, 40, Self::NAME, "content")?;
        wire::get(&mut self.timestamp, payload, 304, Self::NAME, "timestamp")?;
        Ok(())
    }

    fn encode_into(&self, buffer: &mut [u8]) -> Result<(), BufferError> {
        let given = buffer.len();
        let Some(payload) = buffer.get_mut(..Self::SIZE) else {
            return Err(BufferError { given, needed: Self::SIZE });
        };
        self.write(payload);
        Ok(())
    }

    fn validate(&self) -> Result<(), RuleError> {
        if self.sender.is_empty() {
            return Err(RuleError {
                message: Self::NAME,
                field: "sender",
                rule: "not_empty",
                limit: "",
                offset: 0,
                value: format!("a value of {} bytes", self.sender.len()),
            });
        }
        if self.content.is_empty() {
            return Err(RuleError {
                message: Self::NAME,
                field: "content",
                rule: "not_empty",
                limit: "",
                offset: 40,
                value: format!("a value of {} bytes", self.content.len()),
            });
        }
        Ok(())
    }
}

impl Default for TextMessage {
    fn default() -> Self {
        Self::ZERO
    }
}

impl fmt::Debug for TextMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TextMessage")
            .field("sender", &self.sender)
            .field("content", &self.content)
            .field("timestamp", &self.timestamp)
            .finish()
    }
}

impl From<TextMessage> for Message {
    fn from(message: TextMessage) -> Self {
        Self::TextMessage(message)
    }
}

/// A request that is answered with Pong
///
/// Topic examples, type id 1002, 72 bytes.
#[derive(Clone, PartialEq)]
#[repr(C, align(2))]
pub struct Ping {
    /// Returned in Pong, at most 64 bytes of UTF-8
    ///
    /// `String`, at most 64 bytes of UTF-8; bytes 0 to 72 of the payload.
    pub value: FixedString<64, 64>,
}

const _: () = {
    assert!(std::mem::size_of::<Ping>() == 72);
    assert!(std::mem::align_of::<Ping>() == 2);
    assert!(std::mem::offset_of!(Ping, value) == 0);
};

impl Ping {
    const ZERO: Self = Self {
        value: wire::Field::ZERO,
    };

    /// A message from its values, in the order of the contract. Rules are not checked: see `validate`.
    #[must_use]
    pub const fn new(
        value: FixedString<64, 64>,
    ) -> Self {
        Self {
            value,
        }
    }

    /// The payload.
    #[must_use]
    pub fn encode(&self) -> [u8; 72] {
        let mut payload = [0; 72];
        self.write(&mut payload);
        payload
    }

    /// The frame: header and payload.
    #[must_use]
    pub fn to_frame(&self) -> [u8; 78] {
        let mut frame = [0; 78];
        let header = FrameHeader { type_id: 1002, length: 72 };
        frame[..HEADER_SIZE].copy_from_slice(&header.to_bytes());
        self.write(&mut frame[HEADER_SIZE..]);
        frame
    }

    /// Writes every byte of a payload of exactly this size.
    fn write(&self, payload: &mut [u8]) {
        wire::put(&self.value, payload, 0);
    }
}

impl Payload for Ping {
    const TYPE_ID: u16 = 1002;
    const NAME: &'static str = "Ping";
    const TOPIC: &'static str = "examples";
    const SIZE: usize = 72;
    const ALIGN: usize = 2;
    const BUFFER_CLASS: usize = 128;
    const CONFIDENTIAL: bool = false;

    fn decode_from(&mut self, payload: &[u8]) -> Result<(), DecodeError> {
        if payload.len() != Self::SIZE {
            let fault = DecodeFault::Size { given: payload.len(), expected: Self::SIZE };
            return Err(DecodeError { message: Self::NAME, field: None, offset: 0, fault });
        }
        wire::get(&mut self.value, payload, 0, Self::NAME, "value")?;
        Ok(())
    }

    fn encode_into(&self, buffer: &mut [u8]) -> Result<(), BufferError> {
        let given = buffer.len();
        let Some(payload) = buffer.get_mut(..Self::SIZE) else {
            return Err(BufferError { given, needed: Self::SIZE });
        };
        self.write(payload);
        Ok(())
    }

    fn validate(&self) -> Result<(), RuleError> {
        Ok(())
    }
}

impl Default for Ping {
    fn default() -> Self {
        Self::ZERO
    }
}

impl fmt::Debug for Ping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ping")
            .field("value", &self.value)
            .finish()
    }
}

impl From<Ping> for Message {
    fn from(message: Ping) -> Self {
        Self::Ping(message)
    }
}

/// The answer to Ping
///
/// Topic examples, type id 1003, 72 bytes.
#[derive(Clone, PartialEq)]
#[repr(C, align(2))]
pub struct Pong {
    /// As in Ping, at most 64 bytes of UTF-8
    ///
    /// `String`, at most 64 bytes of UTF-8; bytes 0 to 72 of the payload.
    pub value: FixedString<64, 64>,
}

const _: () = {
    assert!(std::mem::size_of::<Pong>() == 72);
    assert!(std::mem::align_of::<Pong>() == 2);
    assert!(std::mem::offset_of!(Pong, value) == 0);
};

impl Pong {
    const ZERO: Self = Self {
        value: wire::Field::ZERO,
    };

    /// A message from its values, in the order of the contract. Rules are not checked: see `validate`.
    #[must_use]
    pub const fn new(
        value: FixedString<64, 64>,
    ) -> Self {
        Self {
            value,
        }
    }

    /// The payload.
    #[must_use]
    pub fn encode(&self) -> [u8; 72] {
        let mut payload = [0; 72];
        self.write(&mut payload);
        payload
    }

    /// The frame: header and payload.
    #[must_use]
    pub fn to_frame(&self) -> [u8; 78] {
        let mut frame = [0; 78];
        let header = FrameHeader { type_id: 1003, length: 72 };
        frame[..HEADER_SIZE].copy_from_slice(&header.to_bytes());
        self.write(&mut frame[HEADER_SIZE..]);
        frame
    }

    /// Writes every byte of a payload of exactly this size.
    fn write(&self, payload: &mut [u8]) {
        wire::put(&self.value, payload, 0);
    }
}

impl Payload for Pong {
    const TYPE_ID: u16 = 1003;
    const NAME: &'static str = "Pong";
    const TOPIC: &'static str = "examples";
    const SIZE: usize = 72;
    const ALIGN: usize = 2;
    const BUFFER_CLASS: usize = 128;
    const CONFIDENTIAL: bool = false;

    fn decode_from(&mut self, payload: &[u8]) -> Result<(), DecodeError> {
        if payload.len() != Self::SIZE {
            let fault = DecodeFault::Size { given: payload.len(), expected: Self::SIZE };
            return Err(DecodeError { message: Self::NAME, field: None, offset: 0, fault });
        }
        wire::get(&mut self.value, payload, 0, Self::NAME, "value")?;
        Ok(())
    }

    fn encode_into(&self, buffer: &mut [u8]) -> Result<(), BufferError> {
        let given = buffer.len();
        let Some(payload) = buffer.get_mut(..Self::SIZE) else {
            return Err(BufferError { given, needed: Self::SIZE });
        };
        self.write(payload);
        Ok(())
    }

    fn validate(&self) -> Result<(), RuleError> {
        Ok(())
    }
}

impl Default for Pong {
    fn default() -> Self {
        Self::ZERO
    }
}

impl fmt::Debug for Pong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pong")
            .field("value", &self.value)
            .finish()
    }
}

impl From<Pong> for Message {
    fn from(message: Pong) -> Self {
        Self::Pong(message)
    }
}

/// State of a liquidity pool at the end of a block
///
/// Topic market-data, type id 1011, 168 bytes.
#[derive(Clone, PartialEq)]
#[repr(C, align(8))]
pub struct PoolStateUpdate {
    /// Address of the pool's contract
    ///
    /// `[u8; 20]`; bytes 0 to 20 of the payload. Rules: `not_zero`.
    pub pool_address: [u8; 20],
    /// Number of the venue
    ///
    /// `u16`; bytes 20 to 22 of the payload.
    pub venue_id: u16,
    /// Reserve of the first token, in its smallest unit; 0 where the pool has none
    ///
    /// `U256`, optional; bytes 22 to 54 of the payload.
    pub reserve0: [u8; 32],
    /// Reserve of the second token, in its smallest unit; 0 where the pool has none
    ///
    /// `U256`, optional; bytes 54 to 86 of the payload.
    pub reserve1: [u8; 32],
    /// Liquidity in range; 0 for pools without ranges
    ///
    /// `U256`, optional; bytes 86 to 118 of the payload.
    pub liquidity: [u8; 32],
    /// Square root of the price, times 2\^96; 0 for pools without ranges
    ///
    /// `U256`, optional; bytes 118 to 150 of the payload.
    pub sqrt_price_x96: [u8; 32],
    pad_0: [u8; 2],
    /// Logarithm of the price to the base 1.0001, rounded down
    ///
    /// `i32`, optional; bytes 152 to 156 of the payload.
    pub tick: i32,
    pad_1: [u8; 4],
    /// Number of the block
    ///
    /// `u64`; bytes 160 to 168 of the payload. Not checked here: monotonic.
    pub block_number: u64,
}

const _: () = {
    assert!(std::mem::size_of::<PoolStateUpdate>() == 168);
    assert!(std::mem::align_of::<PoolStateUpdate>() == 8);
    assert!(std::mem::offset_of!(PoolStateUpdate, pool_address) == 0);
    assert!(std::mem::offset_of!(PoolStateUpdate, venue_id) == 20);
    assert!(std::mem::offset_of!(PoolStateUpdate, reserve0) == 22);
    assert!(std::mem::offset_of!(PoolStateUpdate, reserve1) == 54);
    assert!(std::mem::offset_of!(PoolStateUpdate, liquidity) == 86);
    assert!(std::mem::offset_of!(PoolStateUpdate, sqrt_price_x96) == 118);
    assert!(std::mem::offset_of!(PoolStateUpdate, pad_0) == 150);
    assert!(std::mem::offset_of!(PoolStateUpdate, tick) == 152);
    assert!(std::mem::offset_of!(PoolStateUpdate, pad_1) == 156);
    assert!(std::mem::offset_of!(PoolStateUpdate, block_number) == 160);
};

impl PoolStateUpdate {
    const ZERO: Self = Self {
        pool_address: wire::Field::ZERO,
        venue_id: wire::Field::ZERO,
        reserve0: wire::Field::ZERO,
        reserve1: wire::Field::ZERO,
        liquidity: wire::Field::ZERO,
        sqrt_price_x96: wire::Field::ZERO,
        pad_0: wire::Field::ZERO,
        tick: wire::Field::ZERO,
        pad_1: wire::Field::ZERO,
        block_number: wire::Field::ZERO,
    };

    /// A message from its values, in the order of the contract. Rules are not checked: see `validate`.
    #[must_use]
    pub const fn new(
        pool_address: [u8; 20],
        venue_id: u16,
        reserve0: [u8; 32],
        reserve1: [u8; 32],
        liquidity: [u8; 32],
        sqrt_price_x96: [u8; 32],
        tick: i32,
        block_number: u64,
    ) -> Self {
        Self {
            pool_address,
            venue_id,
            reserve0,
            reserve1,
            liquidity,
            sqrt_price_x96,
            pad_0: [0; 2],
            tick,
            pad_1: [0; 4],
            block_number,
        }
    }

    /// The payload.
    #[must_use]
    pub fn encode(&self) -> [u8; 168] {
        let mut payload = [0; 168];
        self.write(&mut payload);
        payload
    }

    /// The frame: header and payload.
    #[must_use]
    pub fn to_frame(&self) -> [u8; 174] {
        let mut frame = [0; 174];
        let header = FrameHeader { type_id: 1011, length: 168 };
        frame[..HEADER_SIZE].copy_from_slice(&header.to_bytes());
        self.write(&mut frame[HEADER_SIZE..]);
        frame
    }

    /// Writes every byte of a payload of exactly this size.
    fn write(&self, payload: &mut [u8]) {
        wire::put(&self.pool_address, payload, 0);
        wire::put(&self.venue_id, payload, 20);
        wire::put(&self.reserve0, payload, 22);
        wire::put(&self.reserve1, payload, 54);
        wire::put(&self.liquidity, payload, 86);
        wire::put(&self.sqrt_price_x96, payload, 118);
        wire::put(&self.pad_0, payload, 150);
        wire::put(&self.tick, payload, 152);
        wire::put(&self.pad_1, payload, 156);
        wire::put(&self.block_number, payload, 160);
    }
}

impl Payload for PoolStateUpdate {
    const TYPE_ID: u16 = 1011;
    const NAME: &'static str = "PoolStateUpdate";
    const TOPIC: &'static str = "market-data";
    const SIZE: usize = 168;
    const ALIGN: usize = 8;
    const BUFFER_CLASS: usize = 256;
    const CONFIDENTIAL: bool = false;

    fn decode_from(&mut self, payload: &[u8]) -> Result<(), DecodeError> {
        if payload.len() != Self::SIZE {
            let fault = DecodeFault::Size { given: payload.len(), expected: Self::SIZE };
            return Err(DecodeError { message: Self::NAME, field: None, offset: 0, fault });
        }
        wire::get(&mut self.pool_address, payload, 0, Self::NAME, "pool_address")?;
        wire::get(&mut self.venue_id, payload, 20, Self::NAME, "venue_id")?;
        wire::get(&mut self.reserve0, payload, 22, Self::NAME, "reserve0")?;
        wire::get(&mut self.reserve1, payload, 54, Self::NAME, "reserve1")?;
        wire::get(&mut self.liquidity, payload, 86, Self::NAME, "liquidity")?;
        wire::get(&mut self.sqrt_price_x96, payload, 118, Self::NAME, "sqrt_price_x96")?;
        wire::get(&mut self.tick, payload, 152, Self::NAME, "tick")?;
        wire::get(&mut self.block_number, payload, 160, Self::NAME, "block_number")?;
        Ok(())
    }

    fn encode_into(&self, buffer: &mut [u8]) -> Result<(), BufferError> {
        let given = buffer.len();
        let Some(payload) = buffer.get_mut(..Self::SIZE) else {
            return Err(BufferError { given, needed: Self::SIZE });
        };
        self.write(payload);
        Ok(())
    }

    fn validate(&self) -> Result<(), RuleError> {
        if wire::Field::is_zero(&self.pool_address) {
            return Err(RuleError {
                message: Self::NAME,
                field: "pool_address",
                rule: "not_zero",
                limit: "",
                offset: 0,
                value: "a value of 20 bytes".to_string(),
            });
        }
        Ok(())
    }
}

impl Default for PoolStateUpdate {
    fn default() -> Self {
        Self::ZERO
    }
}

impl fmt::Debug for PoolStateUpdate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolStateUpdate")
            .field("pool_address", &self.pool_address)
            .field("venue_id", &self.venue_id)
            .field("reserve0", &self.reserve0)
            .field("reserve1", &self.reserve1)
            .field("liquidity", &self.liquidity)
            .field("sqrt_price_x96", &self.sqrt_price_x96)
            .field("tick", &self.tick)
            .field("block_number", &self.block_number)
            .finish()
    }
}

impl From<PoolStateUpdate> for Message {
    fn from(message: PoolStateUpdate) -> Self {
        Self::PoolStateUpdate(message)
    }
}

/// What a token is; sent before the first message that names it
///
/// Topic market-data, type id 1018, 68 bytes.
#[derive(Clone, PartialEq)]
#[repr(C, align(4))]
pub struct InstrumentMeta {
    /// Address of the token's contract
    ///
    /// `[u8; 20]`; bytes 0 to 20 of the payload. Rules: `not_zero`.
    pub token_address: [u8; 20],
    /// Symbol such as WETH, at most 32 bytes of UTF-8
    ///
    /// `String`, at most 32 bytes of UTF-8; bytes 20 to 60 of the payload. Rules: `not_empty`, `no_0x_prefix`.
    pub symbol: FixedString<32, 32>,
    /// Decimal places between a whole token and its smallest unit
    ///
    /// `u8`; bytes 60 to 61 of the payload. Rules: `min: 1`, `max: 30`.
    pub decimals: u8,
    pad_0: [u8; 3],
    /// Number of the chain, as in EIP-155
    ///
    /// `u32`; bytes 64 to 68 of the payload. Not checked here: known\_chain.
    pub chain_id: u32,
}

const _: () = {
    assert!(std::mem::size_of::<InstrumentMeta>() == 68);
    assert!(std::mem::align_of::<InstrumentMeta>() == 4);
    assert!(std::mem::offset_of!(InstrumentMeta, token_address) == 0);
    assert!(std::mem::offset_of!(InstrumentMeta, symbol) == 20);
    assert!(std::mem::offset_of!(InstrumentMeta, decimals) == 60);
    assert!(std::mem::offset_of!(InstrumentMeta, pad_0) == 61);
    assert!(std::mem::offset_of!(InstrumentMeta, chain_id) == 64);
};

impl InstrumentMeta {
    const ZERO: Self = Self {
        token_address: wire::Field::ZERO,
        symbol: wire::Field::ZERO,
        decimals: wire::Field::ZERO,
        pad_0: wire::Field::ZERO,
        chain_id: wire::Field::ZERO,
    };

    /// A message from its values, in the order of the contract. Rules are not checked: see `validate`.
    #[must_use]
    pub const fn new(
        token_address: [u8; 20],
        symbol: FixedString<32, 32>,
        decimals: u8,
        chain_id: u32,
    ) -> Self {
        Self {
            token_address,
            symbol,
            decimals,
            pad_0: [0; 3],
            chain_id,
        }
    }

    /// The payload.
    #[must_use]
    pub fn encode(&self) -> [u8; 68] {
        let mut payload = [0; 68];
        self.write(&mut payload);
        payload
    }

    /// The frame: header and payload.
    #[must_use]
    pub fn to_frame(&self) -> [u8; 74] {
        let mut frame = [0; 74];
        let header = FrameHeader { type_id: 1018, length: 68 };
        frame[..HEADER_SIZE].copy_from_slice(&header.to_bytes());
        self.write(&mut frame[HEADER_SIZE..]);
        frame
    }

    /// Writes every byte of a payload of exactly this size.
    fn write(&self, payload: &mut [u8]) {
        wire::put(&self.token_address, payload, 0);
        wire::put(&self.symbol, payload, 20);
        wire::put(&self.decimals, payload, 60);
        wire::put(&self.pad_0, payload, 61);
        wire::put(&self.chain_id, payload, 64);
    }
}

impl Payload for InstrumentMeta {
    const TYPE_ID: u16 = 1018;
    const NAME: &'static str = "InstrumentMeta";
    const TOPIC: &'static str = "market-data";
    const SIZE: usize = 68;
    const ALIGN: usize = 4;
    const BUFFER_CLASS: usize = 128;
    const CONFIDENTIAL: bool = false;

    fn decode_from(&mut self, payload: &[u8]) -> Result<(), DecodeError> {
        if payload.len() != Self::SIZE {
            let fault = DecodeFault::Size { given: payload.len(), expected: Self::SIZE };
            return Err(DecodeError { message: Self::NAME, field: None, offset: 0, fault });
        }
        wire::get(&mut self.token_address, payload, 0, Self::NAME, "token_address")?;
        wire::get(&mut self.symbol, payload, 20, Self::NAME, "symbol")?;
        wire::get(&mut self.decimals, payload, 60, Self::NAME, "decimals")?;
        wire::get(&mut self.chain_id, payload, 64, Self::NAME, "chain_id")?;
        Ok(())
    }

    fn encode_into(&self, buffer: &mut [u8]) -> Result<(), BufferError> {
        let given = buffer.len();
        let Some(payload) = buffer.get_mut(..Self::SIZE) else {
            return Err(BufferError { given, needed: Self::SIZE });
        };
        self.write(payload);
        Ok(())
    }

    fn validate(&self) -> Result<(), RuleError> {
        if wire::Field::is_zero(&self.token_address) {
            return Err(RuleError {
                message: Self::NAME,
                field: "token_address",
                rule: "not_zero",
                limit: "",
                offset: 0,
                value: "a value of 20 bytes".to_string(),
            });
        }
        if self.symbol.is_empty() {
            return Err(RuleError {
                message: Self::NAME,
                field: "symbol",
                rule: "not_empty",
                limit: "",
                offset: 20,
                value: format!("a value of {} bytes", self.symbol.len()),
            });
        }
        if has_0x_prefix(self.symbol.as_bytes()) {
            return Err(RuleError {
                message: Self::NAME,
                field: "symbol",
                rule: "no_0x_prefix",
                limit: "",
                offset: 20,
                value: format!("a value of {} bytes", self.symbol.len()),
            });
        }
        if self.decimals < 1 {
            return Err(RuleError {
                message: Self::NAME,
                field: "decimals",
                rule: "min",
                limit: "1",
                offset: 60,
                value: format!("{:?}", self.decimals),
            });
        }
        if self.decimals > 30 {
            return Err(RuleError {
                message: Self::NAME,
                field: "decimals",
                rule: "max",
                limit: "30",
                offset: 60,
                value: format!("{:?}", self.decimals),
            });
        }
        Ok(())
    }
}

impl Default for InstrumentMeta {
    fn default() -> Self {
        Self::ZERO
    }
}

impl fmt::Debug for InstrumentMeta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InstrumentMeta")
            .field("token_address", &self.token_address)
            .field("symbol", &self.symbol)
            .field("decimals", &self.decimals)
            .field("chain_id", &self.chain_id)
            .finish()
    }
}

impl From<InstrumentMeta> for Message {
    fn from(message: InstrumentMeta) -> Self {
        Self::InstrumentMeta(message)
    }
}

/// A path of swaps that is expected to end with more than it began with
///
/// Topic signal, type id 1020, 144 bytes, confidential.
#[derive(Clone, PartialEq)]
#[repr(C, align(8))]
pub struct ArbitrageSignal {
    /// Unique number of the opportunity
    ///
    /// `u64`; bytes 0 to 8 of the payload.
    pub opportunity_id: u64,
    /// Addresses of the pools, in the order of the swaps
    ///
    /// `Vec<[u8; 20]>`, at most 4 elements; bytes 8 to 96 of the payload. Rules: `min_length: 2`.
    pub path: FixedVec<[u8; 20], 4, 6, 0>,
    /// Expected profit after fees, in US dollars
    ///
    /// `f64`; bytes 96 to 104 of the payload. Rules: `min: 0.0`.
    pub estimated_profit_usd: f64,
    /// Expected cost of execution, in wei
    ///
    /// `U256`; bytes 104 to 136 of the payload.
    pub gas_estimate_wei: [u8; 32],
    /// Number of the last block in which it may be executed
    ///
    /// `u64`; bytes 136 to 144 of the payload.
    pub deadline_block: u64,
}

const _: () = {
    assert!(std::mem::size_of::<ArbitrageSignal>() == 144);
    assert!(std::mem::align_of::<ArbitrageSignal>() == 8);
    assert!(std::mem::offset_of!(ArbitrageSignal, opportunity_id) == 0);
    assert!(std::mem::offset_of!(ArbitrageSignal, path) == 8);
    assert!(std::mem::offset_of!(ArbitrageSignal, estimated_profit_usd) == 96);
    assert!(std::mem::offset_of!(ArbitrageSignal, gas_estimate_wei) == 104);
    assert!(std::mem::offset_of!(ArbitrageSignal, deadline_block) == 136);
};

impl ArbitrageSignal {
    const ZERO: Self = Self {
        opportunity_id: wire::Field::ZERO,
        path: wire::Field::ZERO,
        estimated_profit_usd: wire::Field::ZERO,
        gas_estimate_wei: wire::Field::ZERO,
        deadline_block: wire::Field::ZERO,
    };

    /// A message from its values, in the order of the contract. Rules are not checked: see `validate`.
    #[must_use]
    pub const fn new(
        opportunity_id: u64,
        path: FixedVec<[u8; 20], 4, 6, 0>,
        estimated_profit_usd: f64,
        gas_estimate_wei: [u8; 32],
        deadline_block: u64,
    ) -> Self {
        Self {
            opportunity_id,
            path,
            estimated_profit_usd,
            gas_estimate_wei,
            deadline_block,
        }
    }

    /// The payload.
    #[must_use]
    pub fn encode(&self) -> [u8; 144] {
        let mut payload = [0; 144];
        self.write(&mut payload);
        payload
    }

    /// The frame: header and payload.
    #[must_use]
    pub fn to_frame(&self) -> [u8; 150] {
        let mut frame = [0; 150];
        let header = FrameHeader { type_id: 1020, length: 144 };
        frame[..HEADER_SIZE].copy_from_slice(&header.to_bytes());
        self.write(&mut frame[HEADER_SIZE..]);
        frame
    }

    /// Writes every byte of a payload of exactly this size.
    fn write(&self, payload: &mut [u8]) {
        wire::put(&self.opportunity_id, payload, 0);
        wire::put(&self.path, payload, 8);
        wire::put(&self.estimated_profit_usd, payload, 96);
        wire::put(&self.gas_estimate_wei, payload, 104);
        wire::put(&self.deadline_block, payload, 136);
    }
}

impl Payload for ArbitrageSignal {
    const TYPE_ID: u16 = 1020;
    const NAME: &'static str = "ArbitrageSignal";
    const TOPIC: &'static str = "signal";
    const SIZE: usize = 144;
    const ALIGN: usize = 8;
    const BUFFER_CLASS: usize = 256;
    const CONFIDENTIAL: bool = true;

    fn decode_from(&mut self, payload: &[u8]) -> Result<(), DecodeError> {
        if payload.len() != Self::SIZE {
            let fault = DecodeFault::Size { given: payload.len(), expected: Self::SIZE };
            return Err(DecodeError { message: Self::NAME, field: None, offset: 0, fault });
        }
        wire::get(&mut self.opportunity_id, payload, 0, Self::NAME, "opportunity_id")?;
        wire::get(&mut self.path, payload, 8, Self::NAME, "path")?;
        wire::get(&mut self.estimated_profit_usd, payload, 96, Self::NAME, "estimated_profit_usd")?;
        wire::get(&mut self.gas_estimate_wei, payload, 104, Self::NAME, "gas_estimate_wei")?;
        wire::get(&mut self.deadline_block, payload, 136, Self::NAME, "deadline_block")?;
        Ok(())
    }

    fn encode_into(&self, buffer: &mut [u8]) -> Result<(), BufferError> {
        let given = buffer.len();
        let Some(payload) = buffer.get_mut(..Self::SIZE) else {
            return Err(BufferError { given, needed: Self::SIZE });
        };
        self.write(payload);
        Ok(())
    }

    fn validate(&self) -> Result<(), RuleError> {
        if self.path.len() < 2 {
            return Err(RuleError {
                message: Self::NAME,
                field: "path",
                rule: "min_length",
                limit: "2",
                offset: 8,
                value: "the value".to_string(),
            });
        }
        if self.estimated_profit_usd.is_nan() || self.estimated_profit_usd < 0.0 {
            return Err(RuleError {
                message: Self::NAME,
                field: "estimated_profit_usd",
                rule: "min",
                limit: "0.0",
                offset: 96,
                value: "the value".to_string(),
            });
        }
        Ok(())
    }
}

impl Default for ArbitrageSignal {
    fn default() -> Self {
        Self::ZERO
    }
}

impl fmt::Debug for ArbitrageSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ArbitrageSignal(<confidential>)")
    }
}

impl From<ArbitrageSignal> for Message {
    fn from(message: ArbitrageSignal) -> Self {
        Self::ArbitrageSignal(message)
    }
}

/// One trade on an exchange
///
/// Topic market-data, type id 1200, 16 bytes.
#[derive(Clone, PartialEq)]
#[repr(C, align(8))]
pub struct TradeTick {
    /// Price of one unit, in hundredths of the quote currency
    ///
    /// `u64`; bytes 0 to 8 of the payload.
    pub price: u64,
    /// Quantity traded, in thousandths of a unit
    ///
    /// `u64`; bytes 8 to 16 of the payload.
    pub size: u64,
}

const _: () = {
    assert!(std::mem::size_of::<TradeTick>() == 16);
    assert!(std::mem::align_of::<TradeTick>() == 8);
    assert!(std::mem::offset_of!(TradeTick, price) == 0);
    assert!(std::mem::offset_of!(TradeTick, size) == 8);
};

impl TradeTick {
    const ZERO: Self = Self {
        price: wire::Field::ZERO,
        size: wire::Field::ZERO,
    };

    /// A message from its values, in the order of the contract. Rules are not checked: see `validate`.
    #[must_use]
    pub const fn new(
        price: u64,
        size: u64,
    ) -> Self {
        Self {
            price,
            size,
        }
    }

    /// The payload.
    #[must_use]
    pub fn encode(&self) -> [u8; 16] {
        let mut payload = [0; 16];
        self.write(&mut payload);
        payload
    }

    /// The frame: header and payload.
    #[must_use]
    pub fn to_frame(&self) -> [u8; 22] {
        let mut frame = [0; 22];
        let header = FrameHeader { type_id: 1200, length: 16 };
        frame[..HEADER_SIZE].copy_from_slice(&header.to_bytes());
        self.write(&mut frame[HEADER_SIZE..]);
        frame
    }

    /// Writes every byte of a payload of exactly this size.
    fn write(&self, payload: &mut [u8]) {
        wire::put(&self.price, payload, 0);
        wire::put(&self.size, payload, 8);
    }
}

impl Payload for TradeTick {
    const TYPE_ID: u16 = 1200;
    const NAME: &'static str = "TradeTick";
    const TOPIC: &'static str = "market-data";
    const SIZE: usize = 16;
    const ALIGN: usize = 8;
    const BUFFER_CLASS: usize = 128;
    const CONFIDENTIAL: bool = false;

    fn decode_from(&mut self, payload: &[u8]) -> Result<(), DecodeError> {
        if payload.len() != Self::SIZE {
            let fault = DecodeFault::Size { given: payload.len(), expected: Self::SIZE };
            return Err(DecodeError { message: Self::NAME, field: None, offset: 0, fault });
        }
        wire::get(&mut self.price, payload, 0, Self::NAME, "price")?;
        wire::get(&mut self.size, payload, 8, Self::NAME, "size")?;
        Ok(())
    }

    fn encode_into(&self, buffer: &mut [u8]) -> Result<(), BufferError> {
        let given = buffer.len();
        let Some(payload) = buffer.get_mut(..Self::SIZE) else {
            return Err(BufferError { given, needed: Self::SIZE });
        };
        self.write(payload);
        Ok(())
    }

    fn validate(&self) -> Result<(), RuleError> {
        Ok(())
    }
}

impl Default for TradeTick {
    fn default() -> Self {
        Self::ZERO
    }
}

impl fmt::Debug for TradeTick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TradeTick")
            .field("price", &self.price)
            .field("size", &self.size)
            .finish()
    }
}

impl From<TradeTick> for Message {
    fn from(message: TradeTick) -> Self {
        Self::TradeTick(message)
    }
}

/// A strategy's view of an instrument
///
/// Topic signal, type id 1201, 64 bytes.
#[derive(Clone, PartialEq)]
#[repr(C, align(8))]
pub struct TradeSignal {
    /// Unique number of the signal
    ///
    /// `u64`; bytes 0 to 8 of the payload. Rules: `not_zero`.
    pub signal_id: u64,
    /// Symbol of the instrument, at most 16 bytes of UTF-8
    ///
    /// `String`, at most 16 bytes of UTF-8; bytes 8 to 32 of the payload. Rules: `not_empty`.
    pub symbol: FixedString<16, 16>,
    /// Whether to buy; otherwise to sell
    ///
    /// `bool`; bytes 32 to 33 of the payload.
    pub buy: bool,
    pad_0: [u8; 7],
    /// Estimated probability that the signal is right
    ///
    /// `f64`; bytes 40 to 48 of the payload. Rules: `min: 0.0`, `max: 1.0`.
    pub confidence: f64,
    /// Price aimed at, in hundredths of the quote currency
    ///
    /// `u64`; bytes 48 to 56 of the payload.
    pub target_price: u64,
    /// When it was computed, in nanoseconds since 1970-01-01 UTC
    ///
    /// `u64`; bytes 56 to 64 of the payload.
    pub timestamp: u64,
}

const _: () = {
    assert!(std::mem::size_of::<TradeSignal>() == 64);
    assert!(std::mem::align_of::<TradeSignal>() == 8);
    assert!(std::mem::offset_of!(TradeSignal, signal_id) == 0);
    assert!(std::mem::offset_of!(TradeSignal, symbol) == 8);
    assert!(std::mem::offset_of!(TradeSignal, buy) == 32);
    assert!(std::mem::offset_of!(TradeSignal, pad_0) == 33);
    assert!(std::mem::offset_of!(TradeSignal, confidence) == 40);
    assert!(std::mem::offset_of!(TradeSignal, target_price) == 48);
    assert!(std::mem::offset_of!(TradeSignal, timestamp) == 56);
};

impl TradeSignal {
    const ZERO: Self = Self {
        signal_id: wire::Field::ZERO,
        symbol: wire::Field::ZERO,
        buy: wire::Field::ZERO,
        pad_0: wire::Field::ZERO,
        confidence: wire::Field::ZERO,
        target_price: wire::Field::ZERO,
        timestamp: wire::Field::ZERO,
    };

    /// A message from its values, in the order of the contract. Rules are not checked: see `validate`.
    #[must_use]
    pub const fn new(
        signal_id: u64,
        symbol: FixedString<16, 16>,
        buy: bool,
        confidence: f64,
        target_price: u64,
        timestamp: u64,
    ) -> Self {
        Self {
            signal_id,
            symbol,
            buy,
            pad_0: [0; 7],
            confidence,
            target_price,
            timestamp,
        }
    }

    /// The payload.
    #[must_use]
    pub fn encode(&self) -> [u8; 64] {
        let mut payload = [0; 64];
        self.write(&mut payload);
        payload
    }

    /// The frame: header and payload.
    #[must_use]
    pub fn to_frame(&self) -> [u8; 70] {
        let mut frame = [0; 70];
        let header = FrameHeader { type_id: 1201, length: 64 };
        frame[..HEADER_SIZE].copy_from_slice(&header.to_bytes());
        self.write(&mut frame[HEADER_SIZE..]);
        frame
    }

    /// Writes every byte of a payload of exactly this size.
    fn write(&self, payload: &mut [u8]) {
        wire::put(&self.signal_id, payload, 0);
        wire::put(&self.symbol, payload, 8);
        wire::put(&self.buy, payload, 32);
        wire::put(&self.pad_0, payload, 33);
        wire::put(&self.confidence, payload, 40);
        wire::put(&self.target_price, payload, 48);
        wire::put(&self.timestamp, payload, 56);
    }
}

impl Payload for TradeSignal {
    const TYPE_ID: u16 = 1201;
    const NAME: &'static str = "TradeSignal";
    const TOPIC: &'static str = "signal";
    const SIZE: usize = 64;
    const ALIGN: usize = 8;
    const BUFFER_CLASS: usize = 128;
    const CONFIDENTIAL: bool = false;

    fn decode_from(&mut self, payload: &[u8]) -> Result<(), DecodeError> {
        if payload.len() != Self::SIZE {
            let fault = DecodeFault::Size { given: payload.len(), expected: Self::SIZE };
            return Err(DecodeError { message: Self::NAME, field: None, offset: 0, fault });
        }
        wire::get(&mut self.signal_id, payload, 0, Self::NAME, "signal_id")?;
        wire::get(&mut self.symbol, payload, 8, Self::NAME, "symbol")?;
        wire::get(&mut self.buy, payload, 32, Self::NAME, "buy")?;
        wire::get(&mut self.confidence, payload, 40, Self::NAME, "confidence")?;
        wire::get(&mut self.target_price, payload, 48, Self::NAME, "target_price")?;
        wire::get(&mut self.timestamp, payload, 56, Self::NAME, "timestamp")?;
        Ok(())
    }

    fn encode_into(&self, buffer: &mut [u8]) -> Result<(), BufferError> {
        let given = buffer.len();
        let Some(payload) = buffer.get_mut(..Self::SIZE) else {
            return Err(BufferError { given, needed: Self::SIZE });
        };
        self.write(payload);
        Ok(())
    }

    fn validate(&self) -> Result<(), RuleError> {
        if wire::Field::is_zero(&self.signal_id) {
            return Err(RuleError {
                message: Self::NAME,
                field: "signal_id",
                rule: "not_zero",
                limit: "",
                offset: 0,
                value: format!("{:?}", self.signal_id),
            });
        }
        if self.symbol.is_empty() {
            return Err(RuleError {
                message: Self::NAME,
                field: "symbol",
                rule: "not_empty",
                limit: "",
                offset: 8,
                value: format!("a value of {} bytes", self.symbol.len()),
            });
        }
        if self.confidence.is_nan() || self.confidence < 0.0 {
            return Err(RuleError {
                message: Self::NAME,
                field: "confidence",
                rule: "min",
                limit: "0.0",
                offset: 40,
                value: format!("{:?}", self.confidence),
            });
        }
        if self.confidence.is_nan() || self.confidence > 1.0 {
            return Err(RuleError {
                message: Self::NAME,
                field: "confidence",
                rule: "max",
                limit: "1.0",
                offset: 40,
                value: format!("{:?}", self.confidence),
            });
        }
        Ok(())
    }
}

impl Default for TradeSignal {
    fn default() -> Self {
        Self::ZERO
    }
}

impl fmt::Debug for TradeSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TradeSignal")
            .field("signal_id", &self.signal_id)
            .field("symbol", &self.symbol)
            .field("buy", &self.buy)
            .field("confidence", &self.confidence)
            .field("target_price", &self.target_price)
            .field("timestamp", &self.timestamp)
            .finish()
    }
}

impl From<TradeSignal> for Message {
    fn from(message: TradeSignal) -> Self {
        Self::TradeSignal(message)
    }
}

/// A limit order for an execution service
///
/// Topic execution, type id 1202, 72 bytes.
#[derive(Clone, PartialEq)]
#[repr(C, align(8))]
pub struct Order {
    /// Unique number of the order
    ///
    /// `u64`; bytes 0 to 8 of the payload. Rules: `not_zero`.
    pub order_id: u64,
    /// Number of the TradeSignal that led to it, 0 where none did
    ///
    /// `u64`; bytes 8 to 16 of the payload.
    pub signal_id: u64,
    /// Symbol of the instrument, at most 16 bytes of UTF-8
    ///
    /// `String`, at most 16 bytes of UTF-8; bytes 16 to 40 of the payload. Rules: `not_empty`.
    pub symbol: FixedString<16, 16>,
    /// Whether to buy; otherwise to sell
    ///
    /// `bool`; bytes 40 to 41 of the payload.
    pub buy: bool,
    pad_0: [u8; 7],
    /// Worst price that is acceptable, in hundredths of the quote currency
    ///
    /// `u64`; bytes 48 to 56 of the payload. Rules: `not_zero`.
    pub limit_price: u64,
    /// Quantity, in thousandths of a unit
    ///
    /// `u64`; bytes 56 to 64 of the payload. Rules: `not_zero`.
    pub size: u64,
    /// When it lapses, in nanoseconds since 1970-01-01 UTC; 0 for never
    ///
    /// `u64`; bytes 64 to 72 of the payload.
    pub expires_at: u64,
}

const _: () = {
    assert!(std::mem::size_of::<Order>() == 72);
    assert!(std::mem::align_of::<Order>() == 8);
    assert!(std::mem::offset_of!(Order, order_id) == 0);
    assert!(std::mem::offset_of!(Order, signal_id) == 8);
    assert!(std::mem::offset_of!(Order, symbol) == 16);
    assert!(std::mem::offset_of!(Order, buy) == 40);
    assert!(std::mem::offset_of!(Order, pad_0) == 41);
    assert!(std::mem::offset_of!(Order, limit_price) == 48);
    assert!(std::mem::offset_of!(Order, size) == 56);
    assert!(std::mem::offset_of!(Order, expires_at) == 64);
};

impl Order {
    const ZERO: Self = Self {
        order_id: wire::Field::ZERO,
        signal_id: wire::Field::ZERO,
        symbol: wire::Field::ZERO,
        buy: wire::Field::ZERO,
        pad_0: wire::Field::ZERO,
        limit_price: wire::Field::ZERO,
        size: wire::Field::ZERO,
        expires_at: wire::Field::ZERO,
    };

    /// A message from its values, in the order of the contract. Rules are not checked: see `validate`.
    #[must_use]
    pub const fn new(
        order_id: u64,
        signal_id: u64,
        symbol: FixedString<16, 16>,
        buy: bool,
        limit_price: u64,
        size: u64,
        expires_at: u64,
    ) -> Self {
        Self {
            order_id,
            signal_id,
            symbol,
            buy,
            pad_0: [0; 7],
            limit_price,
            size,
            expires_at,
        }
    }

    /// The payload.
    #[must_use]
    pub fn encode(&self) -> [u8; 72] {
        let mut payload = [0; 72];
        self.write(&mut payload);
        payload
    }

    /// The frame: header and payload.
    #[must_use]
    pub fn to_frame(&self) -> [u8; 78] {
        let mut frame = [0; 78];
        let header = FrameHeader { type_id: 1202, length: 72 };
        frame[..HEADER_SIZE].copy_from_slice(&header.to_bytes());
        self.write(&mut frame[HEADER_SIZE..]);
        frame
    }

    /// Writes every byte of a payload of exactly this size.
    fn write(&self, payload: &mut [u8]) {
        wire::put(&self.order_id, payload, 0);
        wire::put(&self.signal_id, payload, 8);
        wire::put(&self.symbol, payload, 16);
        wire::put(&self.buy, payload, 40);
        wire::put(&self.pad_0, payload, 41);
        wire::put(&self.limit_price, payload, 48);
        wire::put(&self.size, payload, 56);
        wire::put(&self.expires_at, payload, 64);
    }
}

impl Payload for Order {
    const TYPE_ID: u16 = 1202;
    const NAME: &'static str = "Order";
    const TOPIC: &'static str = "execution";
    const SIZE: usize = 72;
    const ALIGN: usize = 8;
    const BUFFER_CLASS: usize = 128;
    const CONFIDENTIAL: bool = false;

    fn decode_from(&mut self, payload: &[u8]) -> Result<(), DecodeError> {
        if payload.len() != Self::SIZE {
            let fault = DecodeFault::Size { given: payload.len(), expected: Self::SIZE };
            return Err(DecodeError { message: Self::NAME, field: None, offset: 0, fault });
        }
        wire::get(&mut self.order_id, payload, 0, Self::NAME, "order_id")?;
        wire::get(&mut self.signal_id, payload, 8, Self::NAME, "signal_id")?;
        wire::get(&mut self.symbol, payload, 16, Self::NAME, "symbol")?;
        wire::get(&mut self.buy, payload, 40, Self::NAME, "buy")?;
        wire::get(&mut self.limit_price, payload, 48, Self::NAME, "limit_price")?;
        wire::get(&mut self.size, payload, 56, Self::NAME, "size")?;
        wire::get(&mut self.expires_at, payload, 64, Self::NAME, "expires_at")?;
        Ok(())
    }

    fn encode_into(&self, buffer: &mut [u8]) -> Result<(), BufferError> {
        let given = buffer.len();
        let Some(payload) = buffer.get_mut(..Self::SIZE) else {
            return Err(BufferError { given, needed: Self::SIZE });
        };
        self.write(payload);
        Ok(())
    }

    fn validate(&self) -> Result<(), RuleError> {
        if wire::Field::is_zero(&self.order_id) {
            return Err(RuleError {
                message: Self::NAME,
                field: "order_id",
                rule: "not_zero",
                limit: "",
                offset: 0,
                value: format!("{:?}", self.order_id),
            });
        }
        if self.symbol.is_empty() {
            return Err(RuleError {
                message: Self::NAME,
                field: "symbol",
                rule: "not_empty",
                limit: "",
                offset: 16,
                value: format!("a value of {} bytes", self.symbol.len()),
            });
        }
        if wire::Field::is_zero(&self.limit_price) {
            return Err(RuleError {
                message: Self::NAME,
                field: "limit_price",
                rule: "not_zero",
                limit: "",
                offset: 48,
                value: format!("{:?}", self.limit_price),
            });
        }
        if wire::Field::is_zero(&self.size) {
            return Err(RuleError {
                message: Self::NAME,
                field: "size",
                rule: "not_zero",
                limit: "",
                offset: 56,
                value: format!("{:?}", self.size),
            });
        }
        Ok(())
    }
}

impl Default for Order {
    fn default() -> Self {
        Self::ZERO
    }
}

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Order")
            .field("order_id", &self.order_id)
            .field("signal_id", &self.signal_id)
            .field("symbol", &self.symbol)
            .field("buy", &self.buy)
            .field("limit_price", &self.limit_price)
            .field("size", &self.size)
            .field("expires_at", &self.expires_at)
            .finish()
    }
}

impl From<Order> for Message {
    fn from(message: Order) -> Self {
        Self::Order(message)
    }
}

/// Any message of the contract; large ones in a box.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// See [`struct@TextMessage`].
    TextMessage(TextMessage),
    /// See [`struct@Ping`].
    Ping(Ping),
    /// See [`struct@Pong`].
    Pong(Pong),
    /// See [`struct@PoolStateUpdate`].
    PoolStateUpdate(PoolStateUpdate),
    /// See [`struct@InstrumentMeta`].
    InstrumentMeta(InstrumentMeta),
    /// See [`struct@ArbitrageSignal`].
    ArbitrageSignal(ArbitrageSignal),
    /// See [`struct@TradeTick`].
    TradeTick(TradeTick),
    /// See [`struct@TradeSignal`].
    TradeSignal(TradeSignal),
    /// See [`struct@Order`].
    Order(Order),
}

impl Message {
    /// The message of this type id from its payload; `None` where the contract has no such type.
    ///
    /// # Errors
    /// As of [`Payload::decode`].
    pub fn decode(type_id: u16, payload: &[u8]) -> Result<Option<Self>, DecodeError> {
        let _ = payload;
        match type_id {
            1001 => {
                TextMessage::decode(payload).map(|message| Some(Self::TextMessage(message)))
            }
            1002 => {
                Ping::decode(payload).map(|message| Some(Self::Ping(message)))
            }
            1003 => {
                Pong::decode(payload).map(|message| Some(Self::Pong(message)))
            }
            1011 => {
                PoolStateUpdate::decode(payload).map(|message| Some(Self::PoolStateUpdate(message)))
            }
            1018 => {
                InstrumentMeta::decode(payload).map(|message| Some(Self::InstrumentMeta(message)))
            }
            1020 => {
                ArbitrageSignal::decode(payload).map(|message| Some(Self::ArbitrageSignal(message)))
            }
            1200 => {
                TradeTick::decode(payload).map(|message| Some(Self::TradeTick(message)))
            }
            1201 => {
                TradeSignal::decode(payload).map(|message| Some(Self::TradeSignal(message)))
            }
            1202 => {
                Order::decode(payload).map(|message| Some(Self::Order(message)))
            }
            _ => Ok(None),
        }
    }

    /// What is known of the message's type.
    #[must_use]
    pub fn definition(&self) -> Definition {
        match self {
            Self::TextMessage(_) => MESSAGES[0],
            Self::Ping(_) => MESSAGES[1],
            Self::Pong(_) => MESSAGES[2],
            Self::PoolStateUpdate(_) => MESSAGES[3],
            Self::InstrumentMeta(_) => MESSAGES[4],
            Self::ArbitrageSignal(_) => MESSAGES[5],
            Self::TradeTick(_) => MESSAGES[6],
            Self::TradeSignal(_) => MESSAGES[7],
            Self::Order(_) => MESSAGES[8],
        }
    }

    /// Checks the rules of the contract.
    ///
    /// # Errors
    /// The first rule that a value breaks, in the order of the fields.
    pub fn validate(&self) -> Result<(), RuleError> {
        match self {
            Self::TextMessage(message) => message.validate(),
            Self::Ping(message) => message.validate(),
            Self::Pong(message) => message.validate(),
            Self::PoolStateUpdate(message) => message.validate(),
            Self::InstrumentMeta(message) => message.validate(),
            Self::ArbitrageSignal(message) => message.validate(),
            Self::TradeTick(message) => message.validate(),
            Self::TradeSignal(message) => message.validate(),
            Self::Order(message) => message.validate(),
        }
    }

    /// Appends the frame, header and payload, to what is to be sent.
    pub fn append_frame(&self, stream: &mut Vec<u8>) {
        let _ = &stream;
        match self {
            Self::TextMessage(message) => message.append_frame(stream),
            Self::Ping(message) => message.append_frame(stream),
            Self::Pong(message) => message.append_frame(stream),
            Self::PoolStateUpdate(message) => message.append_frame(stream),
            Self::InstrumentMeta(message) => message.append_frame(stream),
            Self::ArbitrageSignal(message) => message.append_frame(stream),
            Self::TradeTick(message) => message.append_frame(stream),
            Self::TradeSignal(message) => message.append_frame(stream),
            Self::Order(message) => message.append_frame(stream),
        }
    }
}
