import Wire

/// The bodies of the messages that an LNS sends.
enum Reply {
    /// Version 1, revision 0 (RFC 2661, 4.4.3).
    static let protocolVersion: UInt16 = 0x0100
    /// Synchronous and asynchronous framing, as both are the same to us: there is no line behind the tunnel.
    static let framingCapabilities: UInt32 = 3

    /// SCCRP (6.2).
    static func sccrp(
        _ configuration: L2TPConfiguration, tunnelID: UInt16, challenge: [UInt8]?, response: [UInt8]?
    ) -> [UInt8] {
        body(.sccrp) { writer in
            writer.writeAVP(.protocolVersion, protocolVersion)
            writer.writeAVP(.framingCapabilities, framingCapabilities)
            writer.writeAVP(.hostName, Array(configuration.hostName.utf8))
            if !configuration.vendorName.isEmpty { writer.writeAVP(.vendorName, Array(configuration.vendorName.utf8)) }
            writer.writeAVP(.assignedTunnelID, tunnelID)
            writer.writeAVP(.receiveWindowSize, max(configuration.receiveWindow, 1))
            if let challenge { writer.writeAVP(.challenge, challenge) }
            if let response { writer.writeAVP(.challengeResponse, response) }
        }
    }

    /// HELLO (6.5).
    static let hello = body(.hello) { _ in }

    /// ICRP (6.7).
    static func icrp(sessionID: UInt16) -> [UInt8] { body(.icrp) { $0.writeAVP(.assignedSessionID, sessionID) } }

    /// StopCCN (6.4).
    static func stopCCN(_ result: L2TPResult, tunnelID: UInt16) -> [UInt8] {
        body(.stopCCN) { writer in
            writer.writeAVP(.assignedTunnelID, tunnelID)
            writer.writeAVP(.resultCode, value(of: result))
        }
    }

    /// CDN (6.12).
    static func cdn(_ result: L2TPResult, sessionID: UInt16) -> [UInt8] {
        body(.cdn) { writer in
            writer.writeAVP(.resultCode, value(of: result))
            writer.writeAVP(.assignedSessionID, sessionID)
        }
    }

    /// The Error Code is optional (4.4.2) but always written: xl2tpd before 1.3.14 takes a Result Code without one for
    /// a malformed AVP.
    private static func value(of result: L2TPResult) -> [UInt8] {
        var writer = ByteWriter(capacity: 64)
        writer.write(result.code)
        writer.write(result.errorCode ?? 0)
        writer.write(result.message.utf8)
        return writer.bytes
    }

    private static func body(_ type: MessageType, _ fill: (inout ByteWriter) -> Void) -> [UInt8] {
        var writer = ByteWriter(capacity: 128)
        writer.writeAVP(.messageType, type.rawValue)
        fill(&writer)
        return writer.bytes
    }
}
