import CLinux

/// Which worker gets a packet, read off the packet's first bytes by the kernel: a number of four bytes, most significant
/// first, of which `(number >> shift) & mask` is the worker's index. Indexes of `workers` and above, and packets too short
/// to hold the number, go to worker 0.
public struct WorkerSteering: Hashable, Sendable {
    /// How many workers there are.
    public var workers: Int
    /// How far the number is shifted to the right.
    public var shift: Int
    /// Which bits count after that.
    public var mask: UInt32
    /// Where the number stands, in bytes from the start of the payload.
    public var offset: Int

    /// The steering among `workers` by `(number >> shift) & mask`, the number standing at `offset`.
    public init(workers: Int, shift: Int, mask: UInt32, offset: Int = 0) {
        precondition(workers > 0 && (0..<32).contains(shift) && (0..<256).contains(offset))
        (self.workers, self.shift, self.mask, self.offset) = (workers, shift, mask, offset)
    }

    /// The worker of a packet that bears `number`.
    public func worker(of number: UInt32) -> Int {
        let index = (number >> UInt32(shift)) & mask
        return index < UInt32(workers) ? Int(index) : 0
    }

    /// A program that returns the index of the worker; it sees the payload at offset 0.
    var socketChoice: [culvert_filter_instruction] {
        [
            // A load beyond the packet's end ends the program with 0.
            culvert_filter_instruction(.loadWord, UInt32(offset)),
            culvert_filter_instruction(.shiftRight, UInt32(shift)),
            culvert_filter_instruction(.and, mask),
            culvert_filter_instruction(.jumpIfAtLeast, UInt32(workers), then: 0, else: 1),
            culvert_filter_instruction(.return, 0),
            culvert_filter_instruction(.returnAccumulator, 0),
        ]
    }

    /// A program that lets only the packets of `worker` through; with IPv4 it sees the header at offset 0, with IPv6 the
    /// payload. What is too short to hold the number is nobody's.
    func acceptance(of worker: Int, version: UInt8) -> [culvert_filter_instruction] {
        let load: [culvert_filter_instruction] =
            version == 6
            ? [culvert_filter_instruction(.loadWord, UInt32(offset))]
            : [
                culvert_filter_instruction(.loadIPv4HeaderLength, 0),
                culvert_filter_instruction(.loadWordIndexed, UInt32(offset)),
            ]
        return load + [
            culvert_filter_instruction(.shiftRight, UInt32(shift)),
            culvert_filter_instruction(.and, mask),
            culvert_filter_instruction(.jumpIfAtLeast, UInt32(workers), then: 0, else: 1),
            culvert_filter_instruction(.load, 0),
            culvert_filter_instruction(.jumpIfEqual, UInt32(worker), then: 0, else: 1),
            culvert_filter_instruction(.return, UInt32.max),
            culvert_filter_instruction(.return, 0),
        ]
    }
}

extension Pollable {
    /// Makes the kernel drop all that would come in by a socket that only sends.
    func closeToIncoming() throws(SystemError) {
        let nothing = [culvert_filter_instruction(.return, 0)]
        try checked(culvert_attach_filter(descriptor, nothing, 1), "close a socket to what comes in")
    }
}

/// The instructions of classic BPF that we use (linux/bpf_common.h).
private enum FilterOperation: UInt16 {
    case load = 0x00
    case loadWord = 0x20
    case loadWordIndexed = 0x40
    case loadIPv4HeaderLength = 0xb1
    case shiftRight = 0x74
    case and = 0x54
    case jumpIfEqual = 0x15
    case jumpIfAtLeast = 0x35
    case `return` = 0x06
    case returnAccumulator = 0x16
}

extension culvert_filter_instruction {
    fileprivate init(_ operation: FilterOperation, _ operand: UInt32, then: UInt8 = 0, else otherwise: UInt8 = 0) {
        self.init(code: operation.rawValue, jump_true: then, jump_false: otherwise, operand: operand)
    }
}
