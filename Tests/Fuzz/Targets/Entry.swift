import Glibc

/// What can be fuzzed: `CULVERT_FUZZ_TARGET` says which, so that one build and one link serve them all.
enum FuzzTarget: String, CaseIterable {
    case wire
    case ike
    case ikeEncrypted = "ike-encrypted"
    case ikeExchange = "ike-exchange"
    case esp
    case packetPath = "packet-path"
    case l2tp
    case ppp

    /// Plays one input through. What must not happen ends the process.
    func run(_ input: Script) {
        switch self {
        case .wire: WireFuzz.run(input)
        case .ike: IKEFuzz.run(input)
        case .ikeEncrypted: IKEEncryptedFuzz.run(input)
        case .ikeExchange: IKEExchangeFuzz.run(input)
        case .esp: ESPFuzz.run(input)
        case .packetPath: PacketPathFuzz.run(input)
        case .l2tp: L2TPFuzz.run(input)
        case .ppp: PPPFuzz.run(input)
        }
    }

    /// Inputs to begin with: what real clients and the rooms' tests send.
    var seeds: [(name: String, bytes: [UInt8])] {
        switch self {
        case .wire: WireFuzz.seeds
        case .ike: IKEFuzz.seeds
        case .ikeEncrypted: IKEEncryptedFuzz.seeds
        case .ikeExchange: IKEExchangeFuzz.seeds
        case .esp: ESPFuzz.seeds
        case .packetPath: PacketPathFuzz.seeds
        case .l2tp: L2TPFuzz.seeds
        case .ppp: PPPFuzz.seeds
        }
    }
}

/// A property that holds for every input. Unlike `assert` it is there in an optimised build.
func require(
    _ condition: @autoclosure () -> Bool, _ message: @autoclosure () -> String, file: StaticString = #fileID,
    line: UInt = #line
) {
    guard !condition() else { return }
    fatalError("property violated: \(message())", file: file, line: line)
}

private func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

private let selected: FuzzTarget = {
    guard let name = environment("CULVERT_FUZZ_TARGET"), let target = FuzzTarget(rawValue: name) else {
        fatalError("CULVERT_FUZZ_TARGET is to be one of \(FuzzTarget.allCases.map(\.rawValue))")
    }
    return target
}()

@_silgen_name("__lsan_disable") private func disableLeakDetection()
@_silgen_name("__lsan_enable") private func enableLeakDetection()

/// libFuzzer calls it once. With `CULVERT_FUZZ_SEEDS` it writes the seeds into that folder, and ends.
@_cdecl("LLVMFuzzerInitialize")
public func initialize(
    _ count: UnsafeMutablePointer<CInt>?,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>?
) -> CInt {
    // What is made once stays for ever, and Swift keeps an enum's case in spare bits of a pointer, where the leak detector
    // does not recognise it.
    disableLeakDetection()
    selected.run(Script([]))
    enableLeakDetection()
    guard let folder = environment("CULVERT_FUZZ_SEEDS") else { return 0 }
    for (name, bytes) in selected.seeds {
        guard let file = fopen("\(folder)/\(name)", "wb") else { fatalError("cannot write to \(folder)") }
        fwrite(bytes, 1, bytes.count, file)
        fclose(file)
    }
    exit(0)
}

/// libFuzzer calls it for each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafeRawPointer?, _ count: Int) -> CInt {
    selected.run(Script([UInt8](UnsafeRawBufferPointer(start: start, count: count))))
    return 0
}
