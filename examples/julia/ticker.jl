# The messages of contracts.yaml in Julia: `julia ticker.jl`, beside messages.jl.

include("messages.jl")
using .contracts_messages: InstrumentMeta, TradeTick, decode, encode, frame, validate

tick = TradeTick(101_500, 2_500)
println(tick)
println(bytes2hex(frame(tick)))
println(decode(TradeTick, encode(tick)) == tick)

try
    decode(InstrumentMeta, zeros(UInt8, 3))
catch fault
    println(fault)
end
try
    validate(InstrumentMeta(zeros(UInt8, 20), "WETH", 18, 1))
catch fault
    println(fault)
end
