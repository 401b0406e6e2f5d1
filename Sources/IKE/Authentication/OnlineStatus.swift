import Cryptography

/// What the operator decides about OCSP (RFC 6960).
public struct OnlineStatusPolicy: Sendable, Hashable {
    /// The responder to ask about every certificate; nil for none.
    public var responder: String?
    /// Whether to ask where a certificate says, if there is no ``responder``.
    public var usesCertificateURL = false
    /// Whether a certificate is refused whose status nobody tells.
    public var isRequired = false
    /// Whether to ask about the intermediate certificates too.
    public var checksIntermediates = false

    /// Asks nobody yet.
    public init() {}

    /// What to ask about `chain`, whose members were verified, the peer's own certificate first.
    ///
    /// Nothing is asked about a certificate whose chain does not hold, and nothing for a peer that has not shown by its
    /// signature that the certificate is its own: an address out of an unverified certificate would let anybody send the
    /// gateway wherever he likes (CVE-2022-40617 is that bug in strongSwan).
    func questions(
        about chain: [Certificate], using generator: inout some RandomNumberGenerator
    ) throws(CryptographyError) -> [IKEStatusQuestion] {
        var questions: [IKEStatusQuestion] = []
        // The last one is the anchor, which the operator believes without anybody's word.
        let count = checksIntermediates ? chain.count - 1 : min(chain.count - 1, 1)
        for index in 0..<max(count, 0) {
            let request = try OnlineStatusRequest(
                about: chain[index], issuedBy: chain[index + 1], using: &generator)
            questions.append(IKEStatusQuestion(request: request, place: place(chain[index])))
        }
        return questions
    }

    private func place(_ certificate: Certificate) -> IKEStatusQuestion.Place {
        if let responder { return .configured(responder) }
        return .certificate(usesCertificateURL ? certificate.statusResponders : [])
    }
}

/// A question about one certificate, and to whom.
public struct IKEStatusQuestion: Sendable {
    /// Where to ask.
    public enum Place: Hashable, Sendable {
        /// At this URL, which the operator wrote.
        case configured(String)
        /// At one of these, which the certificate's authority wrote; there may be none.
        case certificate([String])
    }

    /// What to ask.
    public let request: OnlineStatusRequest
    /// Whom.
    public let place: Place
}

/// What came of a question.
public enum IKEStatusAnswer: Sendable {
    /// The responder's answer, as it came.
    case received([UInt8])
    /// An answer that was good for an earlier question about the same certificate.
    case kept([UInt8])
    /// None that could be believed, now or a little while ago, and why.
    case none(IKEStatusProblem)
}

/// What is known of a certificate after its question.
public struct IKEStatusFinding: Sendable {
    /// The question.
    public let request: OnlineStatusRequest
    /// What the responder says, or why that is not known.
    public let response: Result<OnlineStatusResponse, IKEStatusProblem>
}

/// Why a certificate's status is not known.
public enum IKEStatusProblem: Error, Equatable, Sendable, CustomStringConvertible {
    /// Nobody answered, and why.
    case noAnswer(String)
    /// The answer is not to be believed.
    case notBelieved(OnlineStatusError)
    /// The responder does not know the certificate.
    case unknownToResponder

    /// The problem in words for the operator.
    public var description: String {
        switch self {
        case .noAnswer(let why): "no OCSP answer: \(why)"
        case .notBelieved(let error): "the OCSP answer is not believed: \(error)"
        case .unknownToResponder: "the OCSP responder does not know it"
        }
    }
}

/// A check of certificates that waits for what OCSP responders say.
///
/// Its exchange goes on when ``conclude(_:wallSeconds:)`` has been run, beside the control loop, and its result given to
/// the engine; should that come too late, the exchange has ended by its own deadline.
public struct IKEStatusInquiry: Sendable {
    /// What to ask; at least one question.
    public let questions: [IKEStatusQuestion]
    let id: UInt64
    let authentication: SignatureAuthentication
    let trust: CertificateTrust
    let isRequired: Bool

    /// Checks `answers`, one for each question in their order, and signs if they let the peer in.
    ///
    /// - Parameter wallSeconds: The time at which they are looked at, in seconds since 1970.
    public func conclude(_ answers: [IKEStatusAnswer], wallSeconds: Int64) -> IKEStatusConclusion {
        var findings: [IKEStatusFinding] = []
        for (index, question) in questions.enumerated() {
            let answer = index < answers.count ? answers[index] : .none(.noAnswer("not asked"))
            findings.append(
                IKEStatusFinding(
                    request: question.request, response: examine(answer, question.request, wallSeconds: wallSeconds)))
        }
        let refusal = findings.lazy.compactMap { self.refusal($0) }.first
        let outcome = refusal.map(Result.failure) ?? authentication.sign()
        return IKEStatusConclusion(result: IKEWorkResult(id: id, authentication: outcome), findings: findings)
    }

    private func examine(
        _ answer: IKEStatusAnswer, _ request: OnlineStatusRequest, wallSeconds: Int64
    ) -> Result<OnlineStatusResponse, IKEStatusProblem> {
        let (bytes, origin): ([UInt8], OnlineStatusResponse.Origin)
        switch answer {
        case .received(let answer): (bytes, origin) = (answer, .responder)
        case .kept(let answer): (bytes, origin) = (answer, .memory)
        case .none(let problem): return .failure(problem)
        }
        do throws(OnlineStatusError) {
            return .success(
                try OnlineStatusResponse(der: bytes, to: request, from: origin, trust: trust, at: wallSeconds))
        } catch {
            return .failure(.notBelieved(error))
        }
    }

    /// Why the peer is refused for `finding`, if it is.
    private func refusal(_ finding: IKEStatusFinding) -> CertificateRefusal? {
        let subject = finding.request.certificate.subjectText
        switch finding.response.flatMap(\.known) {
        case .success(.revoked):
            return CertificateRefusal(.certificateRevoked, "\(subject): its OCSP responder says so")
        case .success: return nil
        case .failure(let problem):
            guard isRequired else { return nil }
            let detail = "\(subject): \(problem)"
            if case .noAnswer = problem { return CertificateRefusal(.noStatusAnswer, detail) }
            return CertificateRefusal(.revocationUnknown, detail)
        }
    }
}

extension OnlineStatusResponse {
    /// The verdict, if there is one.
    var known: Result<Verdict, IKEStatusProblem> {
        verdict == .unknown ? .failure(.unknownToResponder) : .success(verdict)
    }
}

extension IKEStatusFinding {
    /// Why the certificate's status is not known; nil where it is.
    public var problem: IKEStatusProblem? {
        if case .failure(let problem) = response.flatMap(\.known) { problem } else { nil }
    }
}

/// What came of an inquiry.
public struct IKEStatusConclusion: Sendable {
    /// For the engine.
    public let result: IKEWorkResult
    /// What is known of each certificate now.
    public let findings: [IKEStatusFinding]
}
