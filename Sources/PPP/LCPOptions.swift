import Wire

/// A way in which a user may prove who he is.
public enum AuthenticationMethod: String, CaseIterable, Sendable {
    /// Password Authentication Protocol, RFC 1334: the password in clear, inside IPsec.
    case pap
    /// CHAP with MD5, RFC 1994.
    case chapMD5
    /// MS-CHAPv2, RFC 2759.
    case msChapV2

    /// The protocol that carries it.
    var protocolNumber: UInt16 { self == .pap ? PPPProtocol.pap : PPPProtocol.chap }

    /// The data of the Authentication-Protocol option: RFC 1334 section 2.1, RFC 1994 section 3, RFC 2759 section 2.
    var optionData: [UInt8] {
        switch self {
        case .pap: [0xC0, 0x23]
        case .chapMD5: [0xC2, 0x23, 0x05]
        case .msChapV2: [0xC2, 0x23, 0x81]
        }
    }
}

/// The options of the Link Control Protocol, RFC 1661 section 6.
struct LCPOptions: NegotiatedOptions {
    /// RFC 1661 section 6 and IANA's "PPP LCP Configuration Options". What is not in ``rules`` is rejected: callback (13)
    /// and multilink (17, 18, 19) as Windows asks for them, link quality (4), authentication of ourselves (3).
    enum Option {
        static let mru: UInt8 = 1
        static let asyncMap: UInt8 = 2
        static let authentication: UInt8 = 3
        static let quality: UInt8 = 4
        static let magicNumber: UInt8 = 5
        static let protocolCompression: UInt8 = 7
        static let addressCompression: UInt8 = 8
        static let callback: UInt8 = 13
        static let multilinkMRRU: UInt8 = 17
        static let endpointDiscriminator: UInt8 = 19
    }

    /// What holds without the option: RFC 1661 section 6.1.
    static let mruDefaultBytes: UInt16 = 1500
    /// A peer that takes less than this cannot be worked with; pppd draws the line at the same place.
    static let mruMinimumBytes: UInt16 = 128
    /// So many requests with our own magic number in a row are no coincidence (1 in 2^32 each): the line is looped back.
    static let loopbackSuspicionMaximum: UInt8 = 5

    /// What the peer asked for and was given.
    struct Peer: Equatable, Sendable {
        var mruBytes = LCPOptions.mruDefaultBytes
        var framing = PPPFraming()
        var magicNumber: UInt32 = 0
    }

    /// What we can take; nil once the peer has rejected the option.
    private(set) var mruBytes: UInt16?
    /// The methods that are still to be tried, the one that we ask for first.
    private(set) var methods: [AuthenticationMethod]
    /// Our magic number, 0 when the peer has rejected the option: section 6.4.
    private(set) var magicNumber: UInt32
    /// What the peer has.
    private(set) var peer = Peer()
    private var loopbackSuspicions: UInt8 = 0
    private var suggestedMagicNumber: UInt32 = 1

    init(mruBytes: UInt16, methods: [AuthenticationMethod], magicNumber: UInt32) {
        (self.mruBytes, self.methods, self.magicNumber) = (mruBytes, methods, max(magicNumber, 1))
    }

    static let protocolNumber = PPPProtocol.lcp

    static let rules: [OptionRule<LCPOptions>] = [
        OptionRule(Option.mru, dataBytes: 2, standard: { _ in mru(mruDefaultBytes) }) { _, data in
            (ConfigureOption(Option.mru, data).uint16 ?? 0) >= mruMinimumBytes
                ? .acknowledge : .suggest(mru(mruDefaultBytes))
        },
        // No bytes are escaped inside L2TP, so any map is good (RFC 2661 section 4.4.6 leaves ACCM to the LAC).
        OptionRule(Option.asyncMap, dataBytes: 4, standard: { _ in [0, 0, 0, 0] }) { _, _ in .acknowledge },
        OptionRule(Option.magicNumber, dataBytes: 4, standard: { $0.freshMagicNumber }) { owner, data in
            // Section 6.4: zero is illegal and always Nak'd.
            data == [0, 0, 0, 0] ? .suggest(owner.freshMagicNumber) : .acknowledge
        },
        OptionRule(Option.protocolCompression, dataBytes: 0) { _, _ in .acknowledge },
        OptionRule(Option.addressCompression, dataBytes: 0) { _, _ in .acknowledge },
    ]

    private static func mru(_ bytes: UInt16) -> [UInt8] { ConfigureOption(Option.mru, uint16: bytes).data }

    private var freshMagicNumber: [UInt8] { IPv4Address(suggestedMagicNumber).octets }

    /// Authentication is in every request of ours: a link without it cannot open, because an Ack must repeat the request.
    var request: [ConfigureOption] {
        var options: [ConfigureOption] = []
        if let mruBytes { options.append(ConfigureOption(Option.mru, uint16: mruBytes)) }
        if let method = methods.first { options.append(ConfigureOption(Option.authentication, method.optionData)) }
        if magicNumber != 0 { options.append(ConfigureOption(Option.magicNumber, uint32: magicNumber)) }
        return options
    }

    /// Section 6.4: a request with our own magic number is answered with a Nak of another one, and nothing else, so that
    /// a line that is really looped back shows itself by repetition.
    mutating func preview(_ options: [ConfigureOption], random: UInt32) -> RequestVerdict? {
        suggestedMagicNumber = max(random, 1)
        let theirs = options.first { $0.type == Option.magicNumber }?.uint32 ?? 0
        guard theirs != 0, theirs == magicNumber else {
            loopbackSuspicions = 0
            return nil
        }
        loopbackSuspicions &+= 1
        if loopbackSuspicions >= Self.loopbackSuspicionMaximum { return .fail(.loopback) }
        return .suggest([ConfigureOption(Option.magicNumber, freshMagicNumber)])
    }

    func missing(in options: [ConfigureOption]) -> [ConfigureOption] { [] }

    func failure(withoutOption type: UInt8) -> PPPProtocolFailure? { nil }

    mutating func acknowledged(_ options: [ConfigureOption]) {
        peer = Peer()
        for option in options {
            switch option.type {
            case Option.mru: peer.mruBytes = option.uint16 ?? Self.mruDefaultBytes
            case Option.magicNumber: peer.magicNumber = option.uint32 ?? 0
            case Option.protocolCompression: peer.framing.compressesProtocol = true
            case Option.addressCompression: peer.framing.compressesAddressAndControl = true
            default: break
            }
        }
    }

    mutating func learn(suggestion: ConfigureOption, random: UInt32) -> PPPProtocolFailure? {
        switch suggestion.type {
        case Option.mru:
            // Less than we can take is fine; more is not.
            if let mruBytes, let asked = suggestion.uint16, (Self.mruMinimumBytes..<mruBytes).contains(asked) {
                self.mruBytes = asked
            }
            return nil
        case Option.authentication:
            return tryNextMethod(preferring: AuthenticationMethod.allCases.first { $0.optionData == suggestion.data })
        case Option.magicNumber:
            if magicNumber != 0 { magicNumber = max(random, 1) }
            return nil
        default:
            // Section 5.3: a Nak may ask for options that we did not send; there is none that we would add.
            return nil
        }
    }

    mutating func learn(rejection: ConfigureOption) -> PPPProtocolFailure? {
        switch rejection.type {
        case Option.mru: mruBytes = nil
        case Option.magicNumber: magicNumber = 0
        case Option.authentication: return tryNextMethod(preferring: nil)
        default: break
        }
        return nil
    }

    /// Never asks for the same method twice, so this ends.
    private mutating func tryNextMethod(preferring preferred: AuthenticationMethod?) -> PPPProtocolFailure? {
        if !methods.isEmpty { methods.removeFirst() }
        if let preferred, let index = methods.firstIndex(of: preferred) { methods.swapAt(0, index) }
        return methods.isEmpty ? .noCommonAuthentication : nil
    }
}
