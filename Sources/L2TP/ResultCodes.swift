/// Why a control connection is closed: the Result Code of StopCCN (RFC 2661, 4.4.2).
public enum L2TPStopCode: UInt16, CaseIterable, Sendable {
    /// General request to clear the control connection.
    case clear = 1
    /// General error; the Error Code says which.
    case generalError = 2
    /// The control channel already exists.
    case alreadyExists = 3
    /// The requester is not authorized to establish a control channel.
    case notAuthorized = 4
    /// The protocol version of the requester is not supported.
    case unsupportedVersion = 5
    /// The requester is being shut down.
    case shuttingDown = 6
    /// Finite state machine error.
    case stateMachineError = 7

    var text: String {
        switch self {
        case .clear: "request to clear the control connection"
        case .generalError: "general error"
        case .alreadyExists: "control channel already exists"
        case .notAuthorized: "not authorized"
        case .unsupportedVersion: "protocol version not supported"
        case .shuttingDown: "shutting down"
        case .stateMachineError: "finite state machine error"
        }
    }
}

/// Why a session is closed: the Result Code of CDN (RFC 2661, 4.4.2).
public enum L2TPDisconnectCode: UInt16, CaseIterable, Sendable {
    /// Loss of carrier.
    case lossOfCarrier = 1
    /// The Error Code says why.
    case generalError = 2
    /// Administrative reasons.
    case administrative = 3
    /// Lack of appropriate facilities, for now.
    case noFacilities = 4
    /// Lack of appropriate facilities, for ever.
    case noFacilitiesEver = 5
    /// Invalid destination.
    case invalidDestination = 6
    /// No carrier detected.
    case noCarrier = 7
    /// Busy signal.
    case busy = 8
    /// No dial tone.
    case noDialTone = 9
    /// Not established within the time allotted.
    case notInTime = 10
    /// Connected, but no appropriate framing was detected.
    case noFraming = 11

    var text: String {
        switch self {
        case .lossOfCarrier: "loss of carrier"
        case .generalError: "general error"
        case .administrative: "administrative reasons"
        case .noFacilities: "no facilities for now"
        case .noFacilitiesEver: "no facilities"
        case .invalidDestination: "invalid destination"
        case .noCarrier: "no carrier"
        case .busy: "busy"
        case .noDialTone: "no dial tone"
        case .notInTime: "not established in time"
        case .noFraming: "no appropriate framing"
        }
    }
}

/// The General Error Codes, which say more where the Result Code is 2 (RFC 2661, 4.4.2).
public enum L2TPErrorCode: UInt16, CaseIterable, Sendable {
    /// No general error.
    case none = 0
    /// No control connection exists yet for this pair of LAC and LNS.
    case noControlConnection = 1
    /// A length is wrong.
    case badLength = 2
    /// A field was out of range, or a reserved one was not zero.
    case badValue = 3
    /// Insufficient resources.
    case noResources = 4
    /// The Session ID is invalid in this context.
    case badSession = 5
    /// A vendor-specific error.
    case vendorSpecific = 6
    /// Try another LNS.
    case tryAnother = 7
    /// An unknown AVP, or message type, with the M bit set.
    case unknownMandatory = 8

    var text: String {
        switch self {
        case .none: "no general error"
        case .noControlConnection: "no control connection"
        case .badLength: "wrong length"
        case .badValue: "value out of range"
        case .noResources: "insufficient resources"
        case .badSession: "invalid session"
        case .vendorSpecific: "vendor-specific error"
        case .tryAnother: "try another"
        case .unknownMandatory: "unknown mandatory AVP"
        }
    }
}

/// What a Result Code AVP says: a code, perhaps an Error Code, perhaps a message for people.
public struct L2TPResult: Hashable, Sendable, CustomStringConvertible {
    /// Which message it is in, as the codes of the two mean different things.
    public enum Scope: Hashable, Sendable {
        /// Of a whole tunnel, in StopCCN.
        case tunnel
        /// Of one session, in CDN.
        case session
    }
    /// Which message it is in.
    public var scope: Scope
    /// The Result Code, which need not be one that we know.
    public var code: UInt16
    /// The Error Code, if there is one.
    public var errorCode: UInt16?
    /// The Error Message; printable, and of limited length even where a peer wrote it.
    public var message: String

    /// The result of a StopCCN.
    public static func stop(_ code: L2TPStopCode, error: L2TPErrorCode? = nil, _ message: String = "") -> L2TPResult {
        L2TPResult(scope: .tunnel, code: code.rawValue, errorCode: error?.rawValue, message: message)
    }

    /// The result of a CDN.
    public static func disconnect(
        _ code: L2TPDisconnectCode, error: L2TPErrorCode? = nil, _ message: String = ""
    ) -> L2TPResult {
        L2TPResult(scope: .session, code: code.rawValue, errorCode: error?.rawValue, message: message)
    }

    /// The code, what it means, the error and the message, for a log.
    public var description: String {
        let meaning =
            switch scope {
            case .tunnel: L2TPStopCode(rawValue: code)?.text
            case .session: L2TPDisconnectCode(rawValue: code)?.text
            }
        var text = "\(code) (\(meaning ?? "unknown"))"
        if let errorCode, errorCode != 0 {
            text += ", error \(errorCode) (\(L2TPErrorCode(rawValue: errorCode)?.text ?? "unknown"))"
        }
        return message.isEmpty ? text : text + ": \(message)"
    }

    /// A Result Code as its sender meant it: macOS writes it, and the Error Code with it, in little-endian, so that 3
    /// reads as 768. No code of either table has a low byte of zero, so the two cannot be confused.
    static func corrected(_ code: UInt16) -> UInt16 { code & 0xff == 0 ? code.byteSwapped : code }
}
