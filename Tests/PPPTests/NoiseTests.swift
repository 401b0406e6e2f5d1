import Cryptography
import Testing
import Wire

@testable import PPP

/// Frames of a random kind, most of them broken somewhere.
private func noise(using generator: inout SeededGenerator) -> [UInt8] {
    let numbers: [UInt16] = [
        PPPProtocol.lcp, PPPProtocol.chap, PPPProtocol.ipcp, PPPProtocol.pap, PPPProtocol.ccp, 0x21, 0xC026,
    ]
    let number = numbers[Int.random(in: 0..<numbers.count, using: &generator)]
    var frame: [UInt8] = Bool.random(using: &generator) ? [0xFF, 0x03] : []
    frame += [UInt8(number >> 8), UInt8(number & 0xFF)]
    var body = generator.bytes(Int.random(in: 0...60, using: &generator))
    if Bool.random(using: &generator) {
        let types: [UInt8] = [1, 2, 3, 5, 7, 8, 129, 200]
        body = (0..<4).flatMap { _ -> [UInt8] in
            let length = UInt8.random(in: 0...7, using: &generator)
            return [types[Int.random(in: 0..<types.count, using: &generator)], length]
                + generator.bytes(max(0, Int(length) - 2))
        }
    }
    let length = max(0, body.count + 4 + Int.random(in: -2...2, using: &generator))
    frame += [
        UInt8.random(in: 0...15, using: &generator), UInt8.random(in: 0...4, using: &generator), 0, UInt8(length),
    ]
    return Array((frame + body).prefix(Int.random(in: 0...200, using: &generator)))
}

@Suite struct NoiseTests {
    @Test("noise before authentication never brings anyone in, and the link ends in its time", arguments: 0..<3)
    func beforeAuthentication(stage: Int) {
        var generator = SeededGenerator(seed: UInt64(stage))
        for round in 0..<150 {
            var bench = Bench()
            bench.generator = SeededGenerator(seed: UInt64(round))
            switch stage {
            case 0: _ = bench.start()
            case 1: bench.openLCP()
            default: bench.prove()
            }
            let asked = bench.users.count
            for _ in 0..<200 {
                // No more answers than questions, apart from the timers': nothing to amplify.
                let answers = bench.receive(raw: noise(using: &generator))
                #expect(answers.count <= 2)
                bench.advance(.milliseconds(Int.random(in: 0...400, using: &generator)))
            }
            bench.advance(.seconds(300))
            #expect(bench.networks.isEmpty)
            #expect(bench.users.count <= asked + 1)
            #expect(bench.endReason != nil)
            #expect(bench.link.nextDeadline == nil)
        }
    }

    @Test("noise on an open link leaves a link that works, or one that has ended once")
    func openLink() {
        var generator = SeededGenerator(seed: 99)
        for round in 0..<150 {
            var bench = Bench()
            bench.generator = SeededGenerator(seed: UInt64(round))
            bench.openNetwork()
            for _ in 0..<100 {
                _ = bench.receive(raw: noise(using: &generator))
                bench.advance(.milliseconds(Int.random(in: 0...400, using: &generator)))
            }
            // Then silence: whatever state it was brought into, it does not stay for ever.
            bench.advance(.seconds(1000))
            #expect(bench.endReason != nil)
            #expect(bench.link.nextDeadline == nil)
            #expect(bench.users.count <= 11)
        }
    }

    @Test("every valid message, with any one byte changed or cut at any place, is survived")
    func mutations() throws {
        var template = Bench()
        let challenge = try #require(template.openLCP().last)
        let frames: [(UInt16, ControlPacket)] = [
            (
                PPPProtocol.lcp,
                ControlPacket(code: 1, identifier: 1, body: [1, 4, 5, 120, 5, 6, 1, 2, 3, 4, 7, 2, 8, 2])
            ),
            (PPPProtocol.lcp, ControlPacket(code: 9, identifier: 1, body: [1, 2, 3, 4, 5])),
            (PPPProtocol.lcp, ControlPacket(code: 8, identifier: 1, body: [0x80, 0xFD, 1, 1, 0, 4])),
            (
                PPPProtocol.chap,
                ControlPacket(
                    code: 2, identifier: challenge.packet.identifier,
                    body: Bench.response(to: challenge.packet, .msChapV2))
            ),
            (PPPProtocol.ipcp, ControlPacket(code: 1, identifier: 1, body: [3, 6, 0, 0, 0, 0, 129, 6, 0, 0, 0, 0])),
        ]
        for (number, packet) in frames {
            let whole: [UInt8] = [0xFF, 0x03, UInt8(number >> 8), UInt8(number & 0xFF)] + packet.bytes
            for index in whole.indices {
                for value in [0, 1, whole[index] &- 1, whole[index] &+ 1, 0x7F, 0x80, 0xFF] {
                    var frame = whole
                    frame[index] = value
                    for var bench in [template, openBench] {
                        _ = bench.receive(raw: frame)
                        _ = bench.receive(raw: Array(whole.prefix(index)))
                        bench.advance(.seconds(400))
                        #expect(bench.endReason != nil)
                    }
                }
            }
        }
    }

    private var openBench: Bench {
        var bench = Bench()
        bench.openNetwork()
        return bench
    }
}
