# A conformance runner: `julia runner.jl DIRECTORY` loads DIRECTORY/SCHEMA/messages.jl of every schema, reads cases
# on stdin and prints an answer a line. docs/porting.md describes cases and answers.

const DIRECTORY = ARGS[1]
const SCHEMAS = Dict{String,Module}()
for schema in readdir(DIRECTORY)
    SCHEMAS[schema] = include(joinpath(abspath(DIRECTORY), schema, "messages.jl"))
end

hex(bytes) = isempty(bytes) ? "-" : bytes2hex(bytes)
unhex(text) = text == "-" ? UInt8[] : hex2bytes(text)

# --- Values ---------------------------------------------------------------------------------------------

spelled(value::Bool) = value ? "true" : "false"
spelled(value::Union{Int128,UInt128}) = "0x" * string(reinterpret(UInt128, value), base = 16, pad = 32)
spelled(value::Float32) = "0x" * string(reinterpret(UInt32, value), base = 16, pad = 8)
spelled(value::Float64) = "0x" * string(reinterpret(UInt64, value), base = 16, pad = 16)
spelled(value::Integer) = string(value)
spelled(value::String) = "x" * bytes2hex(codeunits(value))
spelled(value::Vector{UInt8}) = "x" * bytes2hex(value)
spelled(value::Vector) = "[" * join(map(spelled, value), ",") * "]"

parsed(::Type{Bool}, text) = text == "true"
parsed(::Type{UInt128}, text) = parse(UInt128, text[3:end], base = 16)
parsed(::Type{Int128}, text) = reinterpret(Int128, parsed(UInt128, text))
parsed(::Type{Float32}, text) = reinterpret(Float32, parse(UInt32, text[3:end], base = 16))
parsed(::Type{Float64}, text) = reinterpret(Float64, parse(UInt64, text[3:end], base = 16))
parsed(T::Type{<:Integer}, text) = parse(T, text)
parsed(::Type{String}, text) = String(hex2bytes(text[2:end]))
parsed(::Type{Vector{UInt8}}, text) = hex2bytes(text[2:end])
parsed(::Type{Vector{T}}, text) where {T} = text == "[]" ? T[] : T[parsed(T, each) for each in split(text[2:end-1], ",")]

# --- Answers --------------------------------------------------------------------------------------------

function answer(schema, command, arguments)
    command == "digest" && return "ok " * bytes2hex(schema.SCHEMA_DIGEST)
    command == "handshake" && return schema.is_handshake(unhex(arguments[1])) ? "ok" : "error handshake"
    command == "frames" && return frames(schema, unhex(arguments[1]))
    T = get(schema.MESSAGES, parse(UInt16, arguments[1]), nothing)
    T === nothing && return "error unknown"
    if command == "describe"
        it = schema.layout(T)
        return join(["ok", it.name, it.size, it.align, it.buffer_class, hex(codeunits(it.topic)), it.confidential], " ")
    end
    try
        if command == "encode"
            values = Any[parsed(type, text) for (type, text) in zip(fieldtypes(T), arguments[2:end])]
            return "ok " * hex(schema.encode(T(values...)))
        end
        message = schema.decode(T, unhex(arguments[2]))
        if command == "validate"
            schema.validate(message)
            return "ok"
        end
        values = [spelled(getfield(message, index)) for index in 1:fieldcount(T)]
        return join(["ok"; hex(schema.encode(message)); values], " ")
    catch fault
        fault isa schema.RuleError && return "rule $(fault.field) $(fault.rule)"
        fault isa schema.EncodeError && return "error capacity $(fault.field)"
        fault isa schema.DecodeError || rethrow()
        return fault.kind === :size ? "error size" : "error $(fault.kind) $(fault.field) $(fault.offset)"
    end
end

function frames(schema, stream)
    found, at = String[], 1
    while length(stream) - at + 1 >= schema.HEADER_SIZE
        type_id, size = schema.read_header(stream, at)
        size > schema.MAX_PAYLOAD && return "error length $type_id $size"
        length(stream) - at + 1 - schema.HEADER_SIZE < size && break
        push!(found, "$type_id:$size")
        at += schema.HEADER_SIZE + Int(size)
    end
    return "ok $(isempty(found) ? "-" : join(found, ",")) $(length(stream) - at + 1)"
end

function main()
    for line in eachline(stdin)
        words = split(line)
        println(stdout, answer(SCHEMAS[words[1]], words[2], words[3:end]))
    end
end

main()
