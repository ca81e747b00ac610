# Generated from contracts.yaml by mycelium-fast, do not edit.
# sha256 63d26a783f134bb35f2581697789af4fb045a742730dd6a84d6e0d4d490c11b9
"Messages of a contracts file: `decode`, `encode`, `validate`, and `MESSAGES` by type id."
module contracts_messages

"What every message is: an immutable struct with the fields of the contract."
abstract type Message end

"Received bytes that are no valid payload; `offset` counts from the payload's start, from 0."
struct DecodeError <: Exception
    message::String
    field::String # empty where the fault is the payload's size
    offset::Int
    kind::Symbol # :size, :count, :bool, :utf8
end

"A value that does not fit its field."
struct EncodeError <: Exception
    message::String
    field::String
    reason::String
end

"A value against a rule of the contract."
struct RuleError <: Exception
    message::String
    field::String
    rule::Symbol
end

# How a field lies in the payload. Counts are capacities, but for arrays.
struct Scalar{T} end
struct Octets
    length::Int
end
struct Text
    capacity::Int
end
struct Several
    element::Any
    count::Int
    exact::Bool
end

struct Field
    name::String
    offset::Int
    contents::Int # offset of the first element, or byte of text
    size::Int
    codec::Any
    rules::Vector{Any}
end

struct Layout
    name::String
    type_id::UInt16
    topic::String
    size::Int
    align::Int
    buffer_class::Int
    confidential::Bool
    fields::Vector{Field}
end

# --- The contract ---------------------------------------------------------------------------------------

"SHA-256 over the bytes of the contracts file."
const SCHEMA_DIGEST = hex2bytes("63d26a783f134bb35f2581697789af4fb045a742730dd6a84d6e0d4d490c11b9")

"A line of text from a named sender"
struct TextMessage <: Message
    # Name of the sender, at most 32 bytes of UTF-8
    sender::String
    # The text, at most 256 bytes of UTF-8
    content::String
    # When it was sent, in nanoseconds since 1970-01-01 UTC
    timestamp::UInt64
end

layout(::Type{TextMessage}) = LAYOUTS[1]

"A request that is answered with Pong"
struct Ping <: Message
    # Returned in Pong, at most 64 bytes of UTF-8
    value::String
end

layout(::Type{Ping}) = LAYOUTS[2]

"The answer to Ping"
struct Pong <: Message
    # As in Ping, at most 64 bytes of UTF-8
    value::String
end

layout(::Type{Pong}) = LAYOUTS[3]

"State of a liquidity pool at the end of a block"
struct PoolStateUpdate <: Message
    # Address of the pool's contract
    pool_address::Vector{UInt8}
    # Number of the venue
    venue_id::UInt16
    # Reserve of the first token, in its smallest unit; 0 where the pool has none
    reserve0::Vector{UInt8}
    # Reserve of the second token, in its smallest unit; 0 where the pool has none
    reserve1::Vector{UInt8}
    # Liquidity in range; 0 for pools without ranges
    liquidity::Vector{UInt8}
    # Square root of the price, times 2^96; 0 for pools without ranges
    sqrt_price_x96::Vector{UInt8}
    # Logarithm of the price to the base 1.0001, rounded down
    tick::Int32
    # Number of the block
    block_number::UInt64
end

layout(::Type{PoolStateUpdate}) = LAYOUTS[4]

"What a token is; sent before the first message that names it"
struct InstrumentMeta <: Message
    # Address of the token's contract
    token_address::Vector{UInt8}
    # Symbol such as WETH, at most 32 bytes of UTF-8
    symbol::String
    # Decimal places between a whole token and its smallest unit
    decimals::UInt8
    # Number of the chain, as in EIP-155
    chain_id::UInt32
end

layout(::Type{InstrumentMeta}) = LAYOUTS[5]

"A path of swaps that is expected to end with more than it began with"
struct ArbitrageSignal <: Message
    # Unique number of the opportunity
    opportunity_id::UInt64
    # Addresses of the pools, in the order of the swaps
    path::Vector{Vector{UInt8}}
    # Expected profit after fees, in US dollars
    estimated_profit_usd::Float64
    # Expected cost of execution, in wei
    gas_estimate_wei::Vector{UInt8}
    # Number of the last block in which it may be executed
    deadline_block::UInt64
end

layout(::Type{ArbitrageSignal}) = LAYOUTS[6]

"One trade on an exchange"
struct TradeTick <: Message
    # Price of one unit, in hundredths of the quote currency
    price::UInt64
    # Quantity traded, in thousandths of a unit
    size::UInt64
end

layout(::Type{TradeTick}) = LAYOUTS[7]

"A strategy's view of an instrument"
struct TradeSignal <: Message
    # Unique number of the signal
    signal_id::UInt64
    # Symbol of the instrument, at most 16 bytes of UTF-8
    symbol::String
    # Whether to buy; otherwise to sell
    buy::Bool
    # Estimated probability that the signal is right
    confidence::Float64
    # Price aimed at, in hundredths of the quote currency
    target_price::UInt64
    # When it was computed, in nanoseconds since 1970-01-01 UTC
    timestamp::UInt64
end

layout(::Type{TradeSignal}) = LAYOUTS[8]

"A limit order for an execution service"
struct Order <: Message
    # Unique number of the order
    order_id::UInt64
    # Number of the TradeSignal that led to it, 0 where none did
    signal_id::UInt64
    # Symbol of the instrument, at most 16 bytes of UTF-8
    symbol::String
    # Whether to buy; otherwise to sell
    buy::Bool
    # Worst price that is acceptable, in hundredths of the quote currency
    limit_price::UInt64
    # Quantity, in thousandths of a unit
    size::UInt64
    # When it lapses, in nanoseconds since 1970-01-01 UTC; 0 for never
    expires_at::UInt64
end

layout(::Type{Order}) = LAYOUTS[9]

const LAYOUTS = Layout[
    Layout("TextMessage", 1001, "examples", 312, 8, 512, false, [
        Field("sender", 0, 8, 40, Text(32), [(:not_empty, true), ]),
        Field("content", 40, 48, 264, Text(256), [(:not_empty, true), ]),
        Field("timestamp", 304, 304, 8, Scalar{UInt64}(), []),
    ]),
    Layout("Ping", 1002, "examples", 72, 2, 128, false, [
        Field("value", 0, 8, 72, Text(64), []),
    ]),
    Layout("Pong", 1003, "examples", 72, 2, 128, false, [
        Field("value", 0, 8, 72, Text(64), []),
    ]),
    Layout("PoolStateUpdate", 1011, "market-data", 168, 8, 256, false, [
        Field("pool_address", 0, 0, 20, Octets(20), [(:not_zero, true), ]),
        Field("venue_id", 20, 20, 2, Scalar{UInt16}(), []),
        Field("reserve0", 22, 22, 32, Octets(32), []),
        Field("reserve1", 54, 54, 32, Octets(32), []),
        Field("liquidity", 86, 86, 32, Octets(32), []),
        Field("sqrt_price_x96", 118, 118, 32, Octets(32), []),
        Field("tick", 152, 152, 4, Scalar{Int32}(), []),
        Field("block_number", 160, 160, 8, Scalar{UInt64}(), []),
    ]),
    Layout("InstrumentMeta", 1018, "market-data", 68, 4, 128, false, [
        Field("token_address", 0, 0, 20, Octets(20), [(:not_zero, true), ]),
        Field("symbol", 20, 28, 40, Text(32), [(:not_empty, true), (:no_0x_prefix, true), ]),
        Field("decimals", 60, 60, 1, Scalar{UInt8}(), [(:min, 1), (:max, 30), ]),
        Field("chain_id", 64, 64, 4, Scalar{UInt32}(), []),
    ]),
    Layout("ArbitrageSignal", 1020, "signal", 144, 8, 256, true, [
        Field("opportunity_id", 0, 0, 8, Scalar{UInt64}(), []),
        Field("path", 8, 16, 88, Several(Octets(20), 4, false), [(:min_length, 2), ]),
        Field("estimated_profit_usd", 96, 96, 8, Scalar{Float64}(), [(:min, 0.0), ]),
        Field("gas_estimate_wei", 104, 104, 32, Octets(32), []),
        Field("deadline_block", 136, 136, 8, Scalar{UInt64}(), []),
    ]),
    Layout("TradeTick", 1200, "market-data", 16, 8, 128, false, [
        Field("price", 0, 0, 8, Scalar{UInt64}(), []),
        Field("size", 8, 8, 8, Scalar{UInt64}(), []),
    ]),
    Layout("TradeSignal", 1201, "signal", 64, 8, 128, false, [
        Field("signal_id", 0, 0, 8, Scalar{UInt64}(), [(:not_zero, true), ]),
        Field("symbol", 8, 16, 24, Text(16), [(:not_empty, true), ]),
        Field("buy", 32, 32, 1, Scalar{Bool}(), []),
        Field("confidence", 40, 40, 8, Scalar{Float64}(), [(:min, 0.0), (:max, 1.0), ]),
        Field("target_price", 48, 48, 8, Scalar{UInt64}(), []),
        Field("timestamp", 56, 56, 8, Scalar{UInt64}(), []),
    ]),
    Layout("Order", 1202, "execution", 72, 8, 128, false, [
        Field("order_id", 0, 0, 8, Scalar{UInt64}(), [(:not_zero, true), ]),
        Field("signal_id", 8, 8, 8, Scalar{UInt64}(), []),
        Field("symbol", 16, 24, 24, Text(16), [(:not_empty, true), ]),
        Field("buy", 40, 40, 1, Scalar{Bool}(), []),
        Field("limit_price", 48, 48, 8, Scalar{UInt64}(), [(:not_zero, true), ]),
        Field("size", 56, 56, 8, Scalar{UInt64}(), [(:not_zero, true), ]),
        Field("expires_at", 64, 64, 8, Scalar{UInt64}(), []),
    ]),
]

"The types of messages by type id."
const MESSAGES = Dict{UInt16,DataType}(
    1001 => TextMessage,
    1002 => Ping,
    1003 => Pong,
    1011 => PoolStateUpdate,
    1018 => InstrumentMeta,
    1020 => ArbitrageSignal,
    1200 => TradeTick,
    1201 => TradeSignal,
    1202 => Order,
)

# --- The same for every schema --------------------------------------------------------------------------

const HEADER_SIZE = 6
const MAX_PAYLOAD = 16_777_216

"The bytes that a client sends before any frame."
const HANDSHAKE = [0x20; 0x00; SCHEMA_DIGEST]

is_handshake(bytes) = bytes == HANDSHAKE

"""
    decode(T, payload)

A message of type `T` from a payload; throws a `DecodeError`. Rules are left to `validate`.
"""
function decode(@nospecialize(T), payload::Vector{UInt8})
    it = layout(T)
    length(payload) == it.size || throw(DecodeError(it.name, "", 0, :size))
    return T(Any[take(field.codec, payload, field, it) for field in it.fields]...)
end

"""
    encode(message)

The payload; throws an `EncodeError` for a value over its field's capacity. Padding is zero.
"""
function encode(@nospecialize(message::Message))
    it = layout(typeof(message))
    payload = zeros(UInt8, it.size)
    for (index, field) in enumerate(it.fields)
        put(field.codec, payload, getfield(message, index), field, it)
    end
    return payload
end

"The frame of a message: header and payload."
function frame(@nospecialize(message::Message))
    it = layout(typeof(message))
    header = [reinterpret(UInt8, [htol(it.type_id)]); reinterpret(UInt8, [htol(UInt32(it.size))])]
    return append!(header, encode(message))
end

"""
    read_header(bytes, at)

Type id and length of the payload of the frame whose header begins at the index `at`; the length may be over
`MAX_PAYLOAD`, and then the connection is to be closed.
"""
function read_header(bytes::Vector{UInt8}, at)
    return number(UInt16, bytes, at - 1), number(UInt32, bytes, at + 1)
end

"Throw a `RuleError` for the first value that is against a rule of the contract."
function validate(@nospecialize(message::Message))
    it = layout(typeof(message))
    for (index, field) in enumerate(it.fields), (rule, limit) in field.rules
        breaks(rule, field.codec, getfield(message, index), limit) && throw(RuleError(it.name, field.name, rule))
    end
end

# No value of a confidential message is shown.
function Base.show(io::Base.IO, @nospecialize(message::Message))
    it = layout(typeof(message))
    if it.confidential
        print(io, it.name, "(<confidential>)")
    else
        values = [string(field.name, "=", repr(getfield(message, i))) for (i, field) in enumerate(it.fields)]
        print(io, it.name, "(", join(values, ", "), ")")
    end
end

Base.:(==)(a::T, b::T) where {T<:Message} = encode(a) == encode(b)

# Bytes to values. Offsets count from 0, indices from 1.

function number(T, bytes, offset)
    value = zero(T)
    for index in sizeof(T):-1:1
        value = (value << 8) | T(bytes[offset+index])
    end
    return value
end

size_of(::Scalar{T}) where {T} = sizeof(T)
size_of(codec::Octets) = codec.length

take(codec, payload, field, it) = live(codec, payload, field.offset, field, it)

function live(::Scalar{Bool}, payload, offset, field, it)
    byte = payload[offset+1]
    byte <= 1 || throw(DecodeError(it.name, field.name, offset, :bool))
    return byte == 1
end
live(::Scalar{T}, payload, offset, field, it) where {T<:Unsigned} = number(T, payload, offset)
live(::Scalar{T}, payload, offset, field, it) where {T} =
    reinterpret(T, number(Dict(1 => UInt8, 2 => UInt16, 4 => UInt32, 8 => UInt64, 16 => UInt128)[sizeof(T)], payload, offset))
live(codec::Octets, payload, offset, field, it) = payload[offset+1:offset+codec.length]

function take(codec::Text, payload, field, it)
    count = number(UInt16, payload, field.offset)
    count <= codec.capacity || throw(DecodeError(it.name, field.name, field.offset, :count))
    value = String(payload[field.contents+1:field.contents+count])
    for index in eachindex(value)
        isvalid(value[index]) || throw(DecodeError(it.name, field.name, field.contents + index - 1, :utf8))
    end
    return value
end

function take(codec::Several, payload, field, it)
    count = codec.exact ? codec.count : Int(number(UInt16, payload, field.offset))
    count <= codec.count || throw(DecodeError(it.name, field.name, field.offset, :count))
    size = size_of(codec.element)
    return Any[live(codec.element, payload, field.contents + size * i, field, it) for i in 0:count-1]
end

# Values to bytes.

function put(::Scalar, payload, offset::Int, value)
    bytes = reinterpret(UInt8, [htol(value)])
    copyto!(payload, offset + 1, bytes, 1, length(bytes))
end
put(::Scalar{Bool}, payload, offset::Int, value) = payload[offset+1] = value
put(codec::Octets, payload, offset::Int, value) = copyto!(payload, offset + 1, value, 1, codec.length)

put(codec::Scalar, payload, value, field::Field, it) = put(codec, payload, field.offset, value)

function put(codec::Octets, payload, value, field::Field, it)
    length(value) == codec.length || throw(EncodeError(it.name, field.name, "takes exactly $(codec.length) bytes"))
    put(codec, payload, field.offset, value)
end

function put(codec::Text, payload, value, field::Field, it)
    bytes = codeunits(value)
    length(bytes) <= codec.capacity || throw(EncodeError(it.name, field.name, "takes at most $(codec.capacity) bytes"))
    isvalid(value) || throw(EncodeError(it.name, field.name, "is not UTF-8"))
    put(Scalar{UInt16}(), payload, field.offset, UInt16(length(bytes)))
    copyto!(payload, field.contents + 1, bytes, 1, length(bytes))
end

function put(codec::Several, payload, value, field::Field, it)
    if codec.exact
        length(value) == codec.count || throw(EncodeError(it.name, field.name, "takes exactly $(codec.count) elements"))
    else
        length(value) <= codec.count || throw(EncodeError(it.name, field.name, "takes at most $(codec.count) elements"))
        put(Scalar{UInt16}(), payload, field.offset, UInt16(length(value)))
    end
    size = size_of(codec.element)
    for (index, each) in enumerate(value)
        if codec.element isa Octets && length(each) != size
            throw(EncodeError(it.name, field.name, "takes elements of exactly $size bytes"))
        end
        put(codec.element, payload, field.contents + size * (index - 1), each)
    end
end

# Rules. NaN fails `min` and `max`: their comparisons are negated, not turned round.

function breaks(rule, codec, value, limit)
    rule === :min && return !(value >= limit)
    rule === :max && return !(value <= limit)
    rule === :not_zero && return all_zero(value)
    count = value isa String ? sizeof(value) : length(value)
    rule === :not_empty && return count == 0
    rule === :min_length && return count < limit
    rule === :max_length && return count > limit
    rule === :no_0x_prefix && return startswith(value, "0x") || startswith(value, "0X")
    error("the rule $rule is not known")
end

# U256 is big-endian: its order is that of its bytes.
function breaks(rule, codec::Octets, value, limit)
    rule === :min && return value < limit
    rule === :max && return value > limit
    return all_zero(value)
end

# All bits: -0.0 is not zero.
all_zero(value::Vector) = all(all_zero, value)
all_zero(value::Bool) = !value
all_zero(value::Float32) = reinterpret(UInt32, value) == 0
all_zero(value::Float64) = reinterpret(UInt64, value) == 0
all_zero(value) = iszero(value)

end
