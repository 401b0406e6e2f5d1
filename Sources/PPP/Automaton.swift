/// The option negotiation automaton of RFC 1661 section 4, as its table: who is in which state, what happened, what to
/// do, and which state follows. LCP and every network control protocol run on it.
enum Automaton {
    /// RFC 1661 section 4.2, in the numbers of the table.
    enum State: UInt8, CaseIterable, Sendable {
        case initial = 0
        case starting
        case closed
        case stopped
        case closing
        case stopping
        case requestSent
        case ackReceived
        case ackSent
        case opened

        /// Whether the restart timer runs in this state (section 4.2: "the Restart timer is running").
        var runsTimer: Bool { rawValue >= State.closing.rawValue && self != .opened }
    }

    /// RFC 1661 section 4.3.
    enum Event: Int, CaseIterable, Sendable {
        case up
        case down
        case open
        case close
        case timeoutWithRetries
        case timeoutExhausted
        case receiveGoodConfigureRequest
        case receiveBadConfigureRequest
        case receiveConfigureAck
        case receiveConfigureNakOrReject
        case receiveTerminateRequest
        case receiveTerminateAck
        case receiveUnknownCode
        case receivePermittedReject
        case receiveCatastrophicReject
        case receiveEchoOrDiscard
    }

    /// RFC 1661 section 4.4.
    enum Action: Sendable {
        case layerUp
        case layerDown
        case layerStarted
        case layerFinished
        case initializeRestartCount
        case zeroRestartCount
        case sendConfigureRequest
        case sendConfigureAck
        case sendConfigureNakOrReject
        case sendTerminateRequest
        case sendTerminateAck
        case sendCodeReject
        case sendEchoReply
    }

    /// A cell of the table.
    struct Transition: Sendable {
        let actions: [Action]
        let next: State
    }

    /// The cell of the table for `event` in `state`; nil where the table has a dash: that cannot happen.
    static func transition(from state: State, on event: Event) -> Transition? {
        table[event.rawValue][Int(state.rawValue)]
    }

    /// RFC 1661 section 4.1, read row by row. The options `r` (restart) and `p` (passive) are not used; `x` (crossed
    /// connection) cannot happen here, because an identifier is answered once.
    private static let table: [[Transition?]] = [
        // Up
        row(nil, go([.irc, .scr], 6), nil, nil, nil, nil, nil, nil, nil, nil),
        // Down
        row(nil, nil, go(0), go([.tls], 1), go(0), go(1), go(1), go(1), go(1), go([.tld], 1)),
        // Open
        row(go([.tls], 1), go(1), go([.irc, .scr], 6), go(3), go(5), go(5), go(6), go(7), go(8), go(9)),
        // Close
        row(
            go(0), go([.tlf], 0), go(2), go(2), go(4), go(4), go([.irc, .str], 4), go([.irc, .str], 4),
            go([.irc, .str], 4), go([.tld, .irc, .str], 4)),
        // TO+
        row(nil, nil, nil, nil, go([.str], 4), go([.str], 5), go([.scr], 6), go([.scr], 6), go([.scr], 8), nil),
        // TO-
        row(nil, nil, nil, nil, go([.tlf], 2), go([.tlf], 3), go([.tlf], 3), go([.tlf], 3), go([.tlf], 3), nil),
        // RCR+
        row(
            nil, nil, go([.sta], 2), go([.irc, .scr, .sca], 8), go(4), go(5), go([.sca], 8), go([.sca, .tlu], 9),
            go([.sca], 8), go([.tld, .scr, .sca], 8)),
        // RCR-
        row(
            nil, nil, go([.sta], 2), go([.irc, .scr, .scn], 6), go(4), go(5), go([.scn], 6), go([.scn], 7),
            go([.scn], 6), go([.tld, .scr, .scn], 6)),
        // RCA
        row(
            nil, nil, go([.sta], 2), go([.sta], 3), go(4), go(5), go([.irc], 7), go([.scr], 6), go([.irc, .tlu], 9),
            go([.tld, .scr], 6)),
        // RCN
        row(
            nil, nil, go([.sta], 2), go([.sta], 3), go(4), go(5), go([.irc, .scr], 6), go([.scr], 6),
            go([.irc, .scr], 8), go([.tld, .scr], 6)),
        // RTR
        row(
            nil, nil, go([.sta], 2), go([.sta], 3), go([.sta], 4), go([.sta], 5), go([.sta], 6), go([.sta], 6),
            go([.sta], 6), go([.tld, .zrc, .sta], 5)),
        // RTA
        row(nil, nil, go(2), go(3), go([.tlf], 2), go([.tlf], 3), go(6), go(6), go(8), go([.tld, .scr], 6)),
        // RUC
        row(
            nil, nil, go([.scj], 2), go([.scj], 3), go([.scj], 4), go([.scj], 5), go([.scj], 6), go([.scj], 7),
            go([.scj], 8), go([.scj], 9)),
        // RXJ+
        row(nil, nil, go(2), go(3), go(4), go(5), go(6), go(6), go(8), go(9)),
        // RXJ-
        row(
            nil, nil, go([.tlf], 2), go([.tlf], 3), go([.tlf], 2), go([.tlf], 3), go([.tlf], 3), go([.tlf], 3),
            go([.tlf], 3), go([.tld, .irc, .str], 5)),
        // RXR
        row(nil, nil, go(2), go(3), go(4), go(5), go(6), go(7), go(8), go([.ser], 9)),
    ]

    private static func row(_ cells: Transition?...) -> [Transition?] { cells }

    private static func go(_ actions: [Action], _ next: UInt8) -> Transition? {
        State(rawValue: next).map { Transition(actions: actions, next: $0) }
    }

    private static func go(_ next: UInt8) -> Transition? { go([], next) }
}

/// The table's own abbreviations, so that it can be held beside the RFC.
extension Automaton.Action {
    fileprivate static let tlu = layerUp
    fileprivate static let tld = layerDown
    fileprivate static let tls = layerStarted
    fileprivate static let tlf = layerFinished
    fileprivate static let irc = initializeRestartCount
    fileprivate static let zrc = zeroRestartCount
    fileprivate static let scr = sendConfigureRequest
    fileprivate static let sca = sendConfigureAck
    fileprivate static let scn = sendConfigureNakOrReject
    fileprivate static let str = sendTerminateRequest
    fileprivate static let sta = sendTerminateAck
    fileprivate static let scj = sendCodeReject
    fileprivate static let ser = sendEchoReply
}
