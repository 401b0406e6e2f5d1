import Cryptography
import IO

/// The way to the operator's socket of a gateway on this machine.
public struct SocketTransport: OperatorTransport {
    /// The way to any socket.
    public init() {}

    /// Asks the gateway whose socket is `path`.
    public func request(path: String, line: [UInt8]) throws -> [UInt8] {
        try OperatorClient.request(path: path, line: line)
    }
}

/// The way to a gateway's API, over HTTPS.
public struct APITransport: OperatorTransport {
    /// Why a gateway cannot be asked, in words.
    public struct Failure: Error, CustomStringConvertible {
        /// The reason.
        public let description: String
    }

    /// The largest file of a token that is read.
    private static let tokenFileBytesMaximum = 4096

    private let token: String
    private let authorityPath: String?

    /// The way to any gateway, with the token in the file `tokenPath`; `authorityPath` names the certificates that are
    /// trusted, PEM, nil those that the system trusts.
    public init(tokenPath: String, authorityPath: String?) throws(Failure) {
        do {
            let file = try PrivateFile.read(tokenPath, bytesMaximum: Self.tokenFileBytesMaximum, followsLinks: true)
            token = ValueRules.trimmed(String(decoding: file.bytes, as: UTF8.self))
            _ = try ValueRules.apiToken(token)
        } catch let error as FileError {
            throw Failure(description: "\(tokenPath) cannot be read: \(error)")
        } catch {
            throw Failure(description: "\(tokenPath) holds no token: one line of visible characters")
        }
        self.authorityPath = authorityPath
    }

    /// Asks the gateway whose API is at `path`, such as `https://vpn.example.org:8443`.
    public func request(path: String, line: [UInt8]) throws -> [UInt8] {
        let asked = try OperatorService.request(line)
        guard let base = HTTPURL(path, scheme: .https), base.target == "/",
            let url = HTTPURL("\(base)v1/\(asked.name)", scheme: .https)
        else { throw Failure(description: "not a gateway's URL, such as https://vpn.example.org:8443") }
        let question = APIClient.Question("POST", url, token: token, authorityPath: authorityPath, body: line)
        let answer = try APIClient.ask(question)
        // What is refused has its reason in the same JSON as an answer, unless something else than a gateway answers.
        guard answer.body.first == UInt8(ascii: "{") else {
            throw Failure(description: "it answers with status \(answer.status) and not as a gateway")
        }
        return answer.body
    }
}
