import Cryptography
import Wire

/// Our side of the authentication phase: asks for the proof, takes it, and says what became of it, again if need be.
/// PAP is RFC 1334 section 2, CHAP RFC 1994 section 4, MS-CHAPv2 RFC 2759.
struct Authenticator: Sendable {
    /// How far it is.
    enum State: Sendable {
        /// Nothing was proved yet.
        case waiting
        /// The gateway decides about the attempt with this identifier.
        case deciding(identifier: UInt8)
        /// The verdict, and the reply that says so: sent again to whoever repeats his attempt.
        case decided(ControlPacket, isAccepted: Bool)
    }

    /// What a packet from the client leads to.
    enum Reaction {
        /// The gateway has to decide.
        case ask(user: String, proof: CredentialProof)
        /// The verdict once more.
        case send(ControlPacket)
    }

    /// A challenge has as many octets as RFC 2759 section 3 demands; RFC 1994 leaves it open.
    static let challengeBytes = MSCHAPv2.challengeBytes
    /// An MD5 digest, RFC 1994 section 4.1.
    private static let md5ResponseBytes = 16
    /// RFC 2759 section 4: peer challenge 16, reserved 8, NT-Response 24, flags 1.
    private static let msChapV2ResponseBytes = 49
    private static let msChapV2ReservedBytes = 8

    let method: AuthenticationMethod
    private(set) var state = State.waiting
    private(set) var user = ""
    /// When the challenge is sent again.
    private(set) var retransmitDeadline: Instant?

    /// Nothing any more once it is decided, nor the next.
    private var challenge: [UInt8]
    /// RFC 2759 section 6: a Failure names a challenge for the next attempt, even when it allows none.
    private var failureChallenge: [UInt8]
    private let challengeIdentifier: UInt8
    private let terms: Shared<PPPConfiguration>
    private var challengesLeft: Int

    init(
        method: AuthenticationMethod, terms: Shared<PPPConfiguration>, using generator: inout some RandomNumberGenerator
    ) {
        (self.method, self.terms) = (method, terms)
        challenge = generator.bytes(Self.challengeBytes)
        failureChallenge = generator.bytes(Self.challengeBytes)
        challengeIdentifier = UInt8.random(in: 0...255, using: &generator)
        challengesLeft = terms.value.restart.configureMaximum
    }

    /// The next Challenge to send, or nil where the client speaks first (PAP) or we have asked often enough. Repeated as it
    /// is: a new value would make a Response worthless that is on its way.
    mutating func nextChallenge(now: Instant) -> ControlPacket? {
        retransmitDeadline = nil
        guard method != .pap, case .waiting = state, challengesLeft > 0 else { return nil }
        challengesLeft -= 1
        retransmitDeadline = now + terms.value.restart.interval
        return ControlPacket(
            code: AuthenticationCode.chapChallenge, identifier: challengeIdentifier,
            body: [UInt8(challenge.count)] + challenge + Array(terms.value.serverName.utf8))
    }

    /// Takes a packet of the negotiated protocol.
    mutating func receive(_ packet: ControlPacket) throws(PPPDropError) -> Reaction {
        guard let rule = MessageRule.find(packet.code, in: method == .pap ? MessageRule.pap : MessageRule.chap) else {
            throw PPPDropError(.unknownAuthenticationCode)
        }
        guard rule.sender == .anyEnd else { throw PPPDropError(.authenticatorMessageFromPeer) }
        guard packet.body.count >= rule.bodyMinimum else { throw PPPDropError(.malformedPacket) }
        let (name, proof) = method == .pap ? try parsePAP(packet) : try parseCHAP(packet)
        switch state {
        case .waiting:
            state = .deciding(identifier: packet.identifier)
            retransmitDeadline = nil
            user = String(decoding: name, as: UTF8.self)
            return .ask(user: user, proof: proof)
        case .deciding:
            // PAP changes the identifier with every repetition (RFC 1334 section 2.2.1): answer the last one.
            state = .deciding(identifier: packet.identifier)
            throw PPPDropError(.repeatedAttempt)
        case .decided(var reply, _):
            // RFC 1994 section 4.2 and RFC 1334 section 2.2.1: the same reply, whatever the repetition holds.
            reply.identifier = packet.identifier
            return .send(reply)
        }
    }

    /// RFC 1334 section 2.2.1: two strings, each behind its length, and nothing else.
    private func parsePAP(_ packet: ControlPacket) throws(PPPDropError) -> ([UInt8], CredentialProof) {
        do throws(WireError) {
            return try packet.body.read { (reader: inout ByteReader) throws(WireError) in
                let name = try reader.readBytes(Int(try reader.readUInt8()))
                let password = SecretBytes(copying: try reader.readSpan(Int(try reader.readUInt8())))
                try reader.requireEnd()
                return (name, .pap(password: password))
            }
        } catch {
            throw PPPDropError(.malformedAuthentication)
        }
    }

    /// RFC 1994 section 4.1: a value behind its size, and the name up to the end.
    private func parseCHAP(_ packet: ControlPacket) throws(PPPDropError) -> ([UInt8], CredentialProof) {
        guard packet.identifier == challengeIdentifier else { throw PPPDropError(.wrongIdentifier) }
        do throws(WireError) {
            return try packet.body.read { (reader: inout ByteReader) throws(WireError) in
                var value = try reader.readReader(Int(try reader.readUInt8()))
                let name = reader.readRestBytes()
                guard name.count <= PPPLimit.userNameBytesMaximum else { throw .trailingBytes(name.count) }
                let proof: CredentialProof
                if method == .chapMD5 {
                    let response = try value.readBytes(Self.md5ResponseBytes)
                    proof = .chapMD5(identifier: packet.identifier, challenge: challenge, response: response)
                } else {
                    // The reserved octets and the flags are to be zero; clients are not, and nothing depends on it.
                    let peerChallenge = try value.readBytes(MSCHAPv2.challengeBytes)
                    try value.skip(Self.msChapV2ReservedBytes)
                    let ntResponse = try value.readBytes(MSCHAPv2.ntResponseBytes)
                    try value.skip(1)
                    proof = .msChapV2(
                        authenticatorChallenge: challenge, peerChallenge: peerChallenge, ntResponse: ntResponse,
                        userName: name)
                }
                try value.requireEnd()
                return (name, proof)
            }
        } catch {
            throw PPPDropError(.malformedAuthentication)
        }
    }

    /// The gateway has decided: the reply to send, nil when nothing was asked. Whether the user is in, `isAccepted` says.
    mutating func decide(_ outcome: AuthenticationOutcome) -> ControlPacket? {
        guard case .deciding(let identifier) = state else { return nil }
        let (code, text, isAccepted): (UInt8, String, Bool)
        switch (method, outcome) {
        case (.pap, .accepted): (code, text, isAccepted) = (AuthenticationCode.papAck, "OK", true)
        case (.pap, .refused(let message)): (code, text, isAccepted) = (AuthenticationCode.papNak, message, false)
        case (.chapMD5, .accepted): (code, text, isAccepted) = (AuthenticationCode.chapSuccess, "OK", true)
        case (.chapMD5, .refused(let message)):
            (code, text, isAccepted) = (AuthenticationCode.chapFailure, message, false)
        case (.msChapV2, .accepted(_, let response?)):
            // RFC 2759 section 5.
            (code, text, isAccepted) = (AuthenticationCode.chapSuccess, "\(response) M=OK", true)
        case (.msChapV2, .accepted):
            // A client hangs up on a Success that does not prove that we know the password: say no ourselves.
            (code, text, isAccepted) = (AuthenticationCode.chapFailure, failureText("no response"), false)
        case (.msChapV2, .refused(let message)):
            (code, text, isAccepted) = (AuthenticationCode.chapFailure, failureText(message), false)
        }
        var body = Array(text.utf8)
        // RFC 1334 section 2.2.2: a length, and the text.
        if method == .pap { body = [UInt8(clamping: body.count)] + body.prefix(255) }
        let reply = ControlPacket(code: code, identifier: identifier, body: body)
        state = .decided(reply, isAccepted: isAccepted)
        (challenge, failureChallenge) = ([], [])
        return reply
    }

    /// RFC 2759 section 6: 691 is "authentication failure", no retry, a new challenge, version 3.
    private func failureText(_ message: String) -> String {
        let hex = failureChallenge.map { ($0 < 16 ? "0" : "") + String($0, radix: 16, uppercase: true) }.joined()
        return "E=691 R=0 C=\(hex) V=3 M=\(message)"
    }

    /// The reply that said yes, for a client that seems to have missed it.
    var acceptance: ControlPacket? {
        if case .decided(let reply, isAccepted: true) = state { reply } else { nil }
    }
}
