import Cryptography
import ESP
import Foundation
import Testing
import Wire

@testable import Gateway

/// Many packets at a time, where the system puts them and by bursts of ciphers, against one at a time by OpenSSL alone.
@Suite("The path of many packets against the path of one")
struct BatchedPathTests {
    /// How many batches each suite takes; PATH_BATCHES=10000 makes millions of packets.
    private static let batches = ProcessInfo.processInfo.environment["PATH_BATCHES"].flatMap(Int.init) ?? 30
    private static let batchCapacity = 300
    static let suites: [ESP.Suite] = [
        .combined(.gcm(keyLength: 32, checkLength: 16)), .separate(.cbc(.aes256), .sha1_96),
        .separate(.cbc(.aes128), .sha256_128), .separate(.ctr(keyLength: 32), .sha512_256),
        .combined(.chaCha20Poly1305),
    ]

    private struct Dice: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (state ^ state >> 29) &* 0xbf58_476d_1ce4_e5b9
        }
    }

    private func benches(_ suite: ESP.Suite) throws -> (many: PathBench, one: PathBench) {
        (
            try PathBench(suite: suite, batchCapacity: Self.batchCapacity),
            try PathBench(suite: suite, batchCapacity: 1, multiBuffer: .off)
        )
    }

    /// What a client sends: mostly packets of data, and everything else that can come.
    private func sealed(_ bench: PathBench, _ dice: inout Dice) -> [UInt8] {
        let size = [28, 60, 600, 1400, Int.random(in: 28...1400, using: &dice)].randomElement(using: &dice) ?? 28
        let packet = innerPacket(byteCount: size, mark: UInt8.random(in: 0...255, using: &dice))
        switch Int.random(in: 0..<24, using: &dice) {
        case 0:
            let spoofed = innerPacket(from: IPv4Address(10, 0, 0, 1), byteCount: size)
            return bench.seal(PathBench.udp(PathBench.data(PathBench.frame(spoofed))))
        case 1: return bench.seal(PathBench.udp(PathBench.data(PathBench.frame(packet), session: 71)))
        case 2: return bench.seal(PathBench.udp([0xc8, 2] + be16(12) + [0, 7, 0, 0, 0, 0, 0, 0]))
        case 3: return bench.seal(PathBench.udp(PathBench.data([0xff, 3, 0xc0, 0x21, 9, 1, 0, 8, 0, 0, 0, 0])))
        case 4: return bench.seal(PathBench.udp(PathBench.data(PathBench.frame(packet)), to: 53))
        case 5: return bench.seal([UInt8](repeating: 1, count: Int.random(in: 0...40, using: &dice)), nextHeader: 59)
        default: return bench.seal(PathBench.udp(PathBench.data(PathBench.frame(packet))))
        }
    }

    private func spoil(_ bytes: [UInt8], _ dice: inout Dice) -> [UInt8] {
        var bytes = bytes
        switch Int.random(in: 0..<30, using: &dice) {
        case 0...2:
            let place = Int.random(in: 0..<bytes.count, using: &dice)
            bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &dice)
        case 3: bytes.removeLast(Int.random(in: 1..<bytes.count, using: &dice))
        case 4: bytes = [0, 0, 0, 0] + bytes
        case 5: bytes = [0xff]
        default: break
        }
        return bytes
    }

    @Test(
        "from the client: the same packets come out, in the same order, and each other one is dropped for the same reason",
        arguments: suites)
    func inbound(suite: ESP.Suite) throws {
        let (many, one) = try benches(suite)
        var dice = Dice(state: 11)
        var delivered = 0
        // Of all batches before, so that some are older than the window.
        var history: [[UInt8]] = []
        for _ in 0..<Self.batches {
            var list: [[UInt8]] = []
            for _ in 0..<Int.random(in: 1...Self.batchCapacity, using: &dice) {
                let pool = Bool.random(using: &dice) ? list : history
                if let earlier = pool.randomElement(using: &dice), Int.random(in: 0..<25, using: &dice) == 0 {
                    list.append(earlier)
                } else {
                    list.append(spoil(sealed(many, &dice), &dice))
                }
            }
            for _ in 0..<list.count / 4 {
                let place = Int.random(in: 0..<list.count, using: &dice)
                list.swapAt(place, min(place + Int.random(in: 0...5, using: &dice), list.count - 1))
            }
            if history.count < 2000 { history += list.prefix(50) }
            let together = many.receive(together: list).filter(\.isDelivered).map(\.bytes)
            let singly = list.flatMap { one.receive(together: [$0]) }.filter(\.isDelivered).map(\.bytes)
            #expect(together == singly)
            #expect(many.packets.reports.count == one.packets.reports.count)
            many.packets.reports.removeAll()
            one.packets.reports.removeAll()
            delivered += together.count
        }
        #expect(delivered > 20 * Self.batches)
        // A changed number that came already in the same batch is found out by its code, in a later one by the window.
        let alike: Set<InboundDrop> = [.notAuthentic, .replayed, .tooOld]
        let drops = { (bench: PathBench, reasons: [InboundDrop]) in
            reasons.map { bench.packets.inboundTable.drops[$0] }
        }
        let others = InboundDrop.allCases.filter { !alike.contains($0) }
        #expect(drops(many, others) == drops(one, others))
        #expect(drops(many, Array(alike)).reduce(0, +) == drops(one, Array(alike)).reduce(0, +))
        #expect(drops(many, Array(alike)).allSatisfy { $0 > 0 })
        for reason in PacketPathDrop.allCases {
            #expect(many.packets.drops[reason] == one.packets.drops[reason], "\(reason)")
        }
        #expect(many.packets.inboundTable.total == one.packets.inboundTable.total)
    }

    @Test(
        "to the client: the same packets leave, in the same order, with the same numbers, and say the same",
        arguments: suites)
    func outbound(suite: ESP.Suite) throws {
        let (many, one) = try benches(suite)
        var dice = Dice(state: 12)
        var sent = 0
        for _ in 0..<Self.batches {
            let list = (0..<Int.random(in: 1...Self.batchCapacity, using: &dice)).map { _ in
                let size = Int.random(in: 0..<20, using: &dice) == 0 ? 1401 : Int.random(in: 28...1400, using: &dice)
                let isOther = Int.random(in: 0..<20, using: &dice) == 0
                return innerPacket(
                    from: PathBench.host, to: isOther ? IPv4Address(192, 168, 42, 77) : PathBench.address,
                    byteCount: size, mark: UInt8.random(in: 0...255, using: &dice))
            }
            let together = many.send(list).filter(\.isSent).map(\.bytes)
            let singly = list.flatMap { one.send([$0]) }.filter(\.isSent).map(\.bytes)
            // Vectors of CBC are random: what is compared of the rest is what the client finds.
            #expect(together.map(\.count) == singly.map(\.count))
            #expect(together.map { $0.prefix(8) } == singly.map { $0.prefix(8) })
            let opened = many.open(together)
            #expect(opened == singly.flatMap { one.open([$0]) } && !opened.contains([]))
            sent += together.count
        }
        #expect(sent > 50 * Self.batches)
        for reason in PacketPathDrop.allCases {
            #expect(many.packets.drops[reason] == one.packets.drops[reason], "\(reason)")
        }
        #expect(many.packets.sent == one.packets.sent)
    }
}
