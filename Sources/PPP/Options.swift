import Wire

/// An option of a Configure message: RFC 1661 section 6.
struct ConfigureOption: Hashable, Sendable {
    /// Type and length.
    static let headerBytes = 2
    /// More options in one message than any client sends (pppd and Windows stay below 12).
    static let countMaximum = 64

    var type: UInt8
    var data: [UInt8]

    init(_ type: UInt8, _ data: [UInt8] = []) { (self.type, self.data) = (type, data) }

    /// An option of two octets, most significant first.
    init(_ type: UInt8, uint16 value: UInt16) {
        self.init(type, [UInt8(value >> 8), UInt8(truncatingIfNeeded: value)])
    }

    /// An option of four octets, most significant first.
    init(_ type: UInt8, uint32 value: UInt32) { self.init(type, IPv4Address(value).octets) }

    /// The data as a number, when it is two octets long.
    var uint16: UInt16? { data.count == 2 ? UInt16(data[0]) << 8 | UInt16(data[1]) : nil }

    /// The data as a number, when it is four octets long.
    var uint32: UInt32? { data.count == 4 ? data.reduce(0) { $0 << 8 | UInt32($1) } : nil }

    /// Reads a list of options that fills `body` exactly.
    static func parse(_ body: [UInt8]) throws(PPPDropError) -> [ConfigureOption] {
        do throws(WireError) {
            var options: [ConfigureOption] = []
            try body.read { (reader: inout ByteReader) throws(WireError) in
                while !reader.isAtEnd {
                    guard options.count < countMaximum else { throw .trailingBytes(reader.remaining) }
                    let type = try reader.readUInt8()
                    // A length of 0 or 1 asks for a negative number of bytes, which the reader refuses.
                    options.append(
                        ConfigureOption(type, try reader.readBytes(Int(try reader.readUInt8()) - headerBytes)))
                }
            }
            return options
        } catch {
            throw PPPDropError(.malformedOptions)
        }
    }

    /// The list as the body of a Configure message.
    static func encode(_ options: [ConfigureOption]) -> [UInt8] {
        options.flatMap { [$0.type, UInt8(clamping: headerBytes + $0.data.count)] + $0.data }
    }
}

/// What we say to one option of the peer's Configure-Request.
enum OptionVerdict: Equatable, Sendable {
    /// Good as it is.
    case acknowledge
    /// Known, but with another value, which goes into the Configure-Nak.
    case suggest([UInt8])
    /// Not to be negotiated.
    case reject
}

/// One line of a protocol's table of options: how long the data of a legal one is, and what we say to it.
struct OptionRule<Owner: NegotiatedOptions>: Sendable {
    let type: UInt8
    let dataBytes: Int
    let judge: @Sendable (Owner, [UInt8]) -> OptionVerdict
    /// What a Configure-Nak suggests in place of an option of a wrong length (RFC 1661 section 5.3); nil: reject it.
    let standard: (@Sendable (Owner) -> [UInt8]?)?

    init(
        _ type: UInt8, dataBytes: Int, standard: (@Sendable (Owner) -> [UInt8]?)? = nil,
        judge: @escaping @Sendable (Owner, [UInt8]) -> OptionVerdict
    ) {
        (self.type, self.dataBytes, self.standard, self.judge) = (type, dataBytes, standard, judge)
    }
}

/// What we say to a whole Configure-Request.
enum RequestVerdict: Equatable, Sendable {
    /// All is good: Configure-Ack.
    case acknowledge
    /// These values, please: Configure-Nak.
    case suggest([ConfigureOption])
    /// Not these: Configure-Reject.
    case reject([ConfigureOption])
    /// There is no point in going on.
    case fail(PPPProtocolFailure)
}

/// The options of one protocol: what we ask for, what we think of what the peer asks for, and what we make of its answers.
/// ``ControlProtocol`` moves them back and forth.
protocol NegotiatedOptions: Sendable {
    /// The number of the protocol whose options these are.
    static var protocolNumber: UInt16 { get }
    /// The options that we know, each with its verdict. All others are rejected.
    static var rules: [OptionRule<Self>] { get }

    /// What our next Configure-Request holds.
    var request: [ConfigureOption] { get }

    /// Looks at a request as a whole before its options are judged one by one. `random` is fresh with every call.
    mutating func preview(_ options: [ConfigureOption], random: UInt32) -> RequestVerdict?
    /// Options that the peer left out and that we cannot do without.
    func missing(in options: [ConfigureOption]) -> [ConfigureOption]
    /// Why the link cannot go on without the option `type` as we want it; nil: it can be rejected.
    func failure(withoutOption type: UInt8) -> PPPProtocolFailure?
    /// Takes down what the peer asked for, now that we acknowledge it.
    mutating func acknowledged(_ options: [ConfigureOption])
    /// Changes our request as a Configure-Nak suggests.
    mutating func learn(suggestion: ConfigureOption, random: UInt32) -> PPPProtocolFailure?
    /// Takes a rejected option out of our request.
    mutating func learn(rejection: ConfigureOption) -> PPPProtocolFailure?
}

extension NegotiatedOptions {
    /// Judges a Configure-Request by the table.
    ///
    /// Rejects come before suggestions (RFC 1661 section 5.4). With `isPatienceOver` the peer was given our values too
    /// often: they become rejects (section 4.6, Max-Failure).
    mutating func judge(_ options: [ConfigureOption], random: UInt32, isPatienceOver: Bool) -> RequestVerdict {
        if let verdict = preview(options, random: random) { return verdict }
        var seen: Set<UInt8> = []
        var rejected: [ConfigureOption] = []
        var suggested: [ConfigureOption] = []
        for option in options {
            // Section 6: no option is listed twice, unless its description says so, and none of ours does.
            guard seen.insert(option.type).inserted else {
                rejected.append(option)
                continue
            }
            switch verdict(on: option) {
            case .acknowledge: break
            case .reject: rejected.append(option)
            case .suggest(let data):
                suggested.append(ConfigureOption(option.type, data))
                guard isPatienceOver else { break }
                if let failure = failure(withoutOption: option.type) { return .fail(failure) }
                rejected.append(option)
            }
        }
        guard rejected.isEmpty else { return .reject(rejected) }
        let missing = missing(in: options)
        for option in missing where isPatienceOver {
            if let failure = failure(withoutOption: option.type) { return .fail(failure) }
        }
        suggested += missing
        return suggested.isEmpty ? .acknowledge : .suggest(suggested)
    }

    private func verdict(on option: ConfigureOption) -> OptionVerdict {
        guard let rule = Self.rules.first(where: { $0.type == option.type }) else { return .reject }
        guard option.data.count == rule.dataBytes else {
            return rule.standard?(self).map { .suggest($0) } ?? .reject
        }
        return rule.judge(self, option.data)
    }
}
