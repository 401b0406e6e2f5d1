import IKE
import IO

/// How the status of clients' certificates is asked for by OCSP.
public struct OnlineStatusSettings: Sendable, Equatable {
    /// Whom to ask, about what, and what follows from no answer.
    public var policy = OnlineStatusPolicy()
    /// After what time there is no answer.
    public var timeout = OnlineStatusSettings.timeoutDefault
    /// The only hosts that are asked because a certificate says so, in lower case; empty for all of the Internet.
    public var allowedHosts: [String] = []

    /// What answers take at most in practice, several times over, and what every client waits for.
    static let timeoutDefault = Duration.seconds(3)

    /// Asks nobody yet.
    public init() {}

    /// The URL to ask at, and at which addresses it may be; or why there is none.
    ///
    /// What a certificate says, its authority wrote: that is somebody whom the operator trusts to vouch for clients, and
    /// not to choose among the machines of his own network. A host that the operator has named may be on a private
    /// network; the gateway itself and its links are never asked on a certificate's word.
    func target(of place: IKEStatusQuestion.Place) -> Result<(url: HTTPURL, rule: HTTPAddressRule), NoTarget> {
        switch place {
        case .configured(let text):
            guard let url = HTTPURL(text) else { return .failure(.noPlace) }
            return .success((url, .any))
        case .certificate(let texts):
            let urls = texts.compactMap { HTTPURL($0) }
            guard !urls.isEmpty else { return .failure(.noPlace) }
            guard !allowedHosts.isEmpty else { return .success((urls[0], .publicOnly)) }
            guard let url = urls.first(where: { allowedHosts.contains($0.host) }) else {
                return .failure(.hostNotAllowed(urls[0].host))
            }
            return .success((url, .publicOrPrivate))
        }
    }

    /// Why nobody is asked.
    enum NoTarget: Error, Equatable, CustomStringConvertible {
        /// The certificate names no http URL.
        case noPlace
        /// It names a host that the operator does not.
        case hostNotAllowed(String)

        var description: String {
            switch self {
            case .noPlace: "nobody to ask"
            case .hostNotAllowed(let host): "\(ValueRules.quoted(host)) is not among the allowed hosts"
            }
        }
    }
}
