import CertificateVectors
import Glibc
import IO
import Logging
import Synchronization
import Testing
import Wire

@testable import Cryptography
@testable import Gateway
@testable import IKE

/// An OCSP responder on loopback that says the same to everybody, or nothing.
private final class Responder: Sendable {
    private let listening: Int32
    private let answer: [UInt8]?
    private let questions = Mutex(0)
    private let isStopped = Atomic(false)
    private let thread: Mutex<WorkerThread?> = Mutex(nil)
    let port: UInt16

    /// - Parameter answer: nil for silence.
    init(_ answer: [UInt8]?) throws {
        self.answer = answer
        let listening = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        self.listening = listening
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(listening, pointer, size) == 0 && listen(listening, 16) == 0
                    && getsockname(listening, pointer, &size) == 0
            }
        }
        #expect(isBound)
        port = UInt16(bigEndian: address.sin_port)
        let thread = try WorkerThread(name: "responder") { [self] in serve() }
        self.thread.withLock { $0 = thread }
    }

    /// How many questions came.
    var questionCount: Int { questions.withLock { $0 } }
    var url: String { "http://127.0.0.1:\(port)/" }

    func stop() {
        isStopped.store(true, ordering: .releasing)
        shutdown(listening, Int32(SHUT_RDWR))
        thread.withLock { $0 }?.join()
        close(listening)
    }

    private func serve() {
        var silent: [Int32] = []
        while !isStopped.load(ordering: .acquiring) {
            let connection = accept(listening, nil, nil)
            guard connection >= 0 else { break }
            questions.withLock { $0 += 1 }
            guard let answer else {
                silent.append(connection)
                continue
            }
            var request = [UInt8](repeating: 0, count: 4096)
            _ = read(connection, &request, request.count)
            let head = "HTTP/1.1 200 OK\r\nContent-Length: \(answer.count)\r\n\r\n"
            _ = write(connection, [UInt8](head.utf8) + answer, head.utf8.count + answer.count)
            shutdown(connection, Int32(SHUT_WR))
            silent.append(connection)
        }
        silent.forEach { close($0) }
    }
}

/// The service on a loop of its own.
private final class Bench: Sendable {
    let loop = ControlLoop()
    let service: OnlineStatusService
    private let settings: OnlineStatusSettings

    init(_ settings: OnlineStatusSettings) {
        self.settings = settings
        let log = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        service = OnlineStatusService(settings, on: loop, log: log) { CertificateVectors.time }
    }

    func inquiry(about names: String...) throws -> IKEStatusInquiry {
        var generator = SystemRandom()
        let issuer = try CertificateVectors.certificate("ocsp/issuer")
        let questions = try names.flatMap { name in
            try settings.policy.questions(
                about: [CertificateVectors.certificate("ocsp/\(name)"), issuer], using: &generator)
        }
        return IKEStatusInquiry(
            questions: questions, id: 7, authentication: SignatureAuthentication(),
            trust: try CertificateTrust(authorities: [CertificateVectors.certificate("ocsp/root"), issuer]),
            isRequired: settings.policy.isRequired)
    }

    /// Why the peers of `inquiries`, which begin at once, are refused; nil for who is not.
    func reasons(_ inquiries: IKEStatusInquiry...) -> [CertificateRefusal.Reason?] {
        let results = Mutex<[Int: IKEWorkResult]>([:])
        loop.execute { [service, loop] in
            for (index, inquiry) in inquiries.enumerated() {
                service.carryOut(inquiry) { result in
                    #expect(loop.isOnLoop && result.id == 7)
                    results.withLock { $0[index] = result }
                }
            }
        }
        let deadline = SystemClock.now + .seconds(10)
        while SystemClock.now < deadline, results.withLock({ $0.count }) < inquiries.count { usleep(1000) }
        return inquiries.indices.map { index in
            guard let outcome = results.withLock({ $0[index] })?.authentication else {
                Issue.record("no result")
                return nil
            }
            if case .failure(let refusal) = outcome { return refusal.reason }
            return nil
        }
    }

    func stop() {
        loop.execute { [service] in service.close() }
        usleep(20_000)
        loop.shutDown()
    }
}

@Suite("OCSP responders are asked", .serialized)
struct OnlineStatusServiceTests {
    private static func settings(_ responder: String?, isRequired: Bool = true) -> OnlineStatusSettings {
        var settings = OnlineStatusSettings()
        (settings.policy.responder, settings.policy.isRequired) = (responder, isRequired)
        settings.timeout = .milliseconds(400)
        return settings
    }

    @Test("one question for any number of dial-ins, as long as the answer counts")
    func memory() throws {
        let responder = try Responder(CertificateVectors.answer("ocsp/good"))
        defer { responder.stop() }
        let bench = Bench(Self.settings(responder.url))
        defer { bench.stop() }
        // The second waits for the first, which has the same question.
        #expect(bench.reasons(try bench.inquiry(about: "client"), try bench.inquiry(about: "client")) == [nil, nil])
        #expect(bench.reasons(try bench.inquiry(about: "client")) == [nil])
        #expect(responder.questionCount == 1)
        #expect(bench.service.counters == ["ocsp.asked": 1, "ocsp.kept": 2])
    }

    @Test("revoked is refused, from memory too, though no answer is required")
    func revoked() throws {
        let responder = try Responder(CertificateVectors.answer("ocsp/revoked"))
        defer { responder.stop() }
        let bench = Bench(Self.settings(responder.url, isRequired: false))
        defer { bench.stop() }
        for _ in 0..<2 { #expect(bench.reasons(try bench.inquiry(about: "revoked")) == [.certificateRevoked]) }
        #expect(responder.questionCount == 1)
    }

    @Test("silence is over in time, once, and then remembered for a while")
    func silence() throws {
        let responder = try Responder(nil)
        defer { responder.stop() }
        for isRequired in [true, false] {
            let bench = Bench(Self.settings(responder.url, isRequired: isRequired))
            defer { bench.stop() }
            let reason: CertificateRefusal.Reason? = isRequired ? .noStatusAnswer : nil
            let begun = SystemClock.now
            #expect(
                bench.reasons(try bench.inquiry(about: "client"), try bench.inquiry(about: "client")) == [
                    reason, reason,
                ])
            #expect(SystemClock.now.since(begun) < .seconds(2))
            #expect(bench.reasons(try bench.inquiry(about: "client")) == [reason])
            #expect(bench.service.counters == ["ocsp.asked": 1, "ocsp.timedOut": 1])
        }
        #expect(responder.questionCount == 2)
    }

    @Test("an answer that is not believed refuses for the same reason from memory")
    func unbelieved() throws {
        let responder = try Responder(CertificateVectors.answer("ocsp/foreign-signer"))
        defer { responder.stop() }
        let bench = Bench(Self.settings(responder.url))
        defer { bench.stop() }
        for _ in 0..<2 { #expect(bench.reasons(try bench.inquiry(about: "client")) == [.revocationUnknown]) }
        #expect(responder.questionCount == 1)
    }

    @Test("inquiries that share questions crosswise do not wait for each other for ever")
    func crosswise() throws {
        let responder = try Responder(CertificateVectors.answer("ocsp/good"))
        defer { responder.stop() }
        let bench = Bench(Self.settings(responder.url, isRequired: false))
        defer { bench.stop() }
        let inquiries = try (
            bench.inquiry(about: "client"), bench.inquiry(about: "client", "unknown"),
            bench.inquiry(about: "unknown", "client")
        )
        #expect(bench.reasons(inquiries.0, inquiries.1, inquiries.2) == [nil, nil, nil])
    }

    @Test("a certificate's own place on loopback is not asked, whatever stands there")
    func ownPlace() throws {
        var settings = Self.settings(nil)
        settings.policy.usesCertificateURL = true
        // status.example.org does not exist (RFC 2606), and is not among these.
        settings.allowedHosts = ["ocsp.example.net"]
        let bench = Bench(settings)
        defer { bench.stop() }
        #expect(bench.reasons(try bench.inquiry(about: "client")) == [.noStatusAnswer])
        #expect(bench.service.counters.isEmpty)
    }
}

@Suite("Whom to ask about a certificate")
struct OnlineStatusTargetTests {
    private static let place = IKEStatusQuestion.Place.certificate([
        "ldap://ocsp.example.org/", "http://OCSP.example.org/a", "http://other.example.org/",
    ])

    @Test("the operator's responder may be anywhere")
    func configured() throws {
        let target = try OnlineStatusSettings().target(of: .configured("http://127.0.0.1:2560/")).get()
        #expect(target.rule == .any && target.url.port == 2560)
    }

    @Test("a certificate's host must be on the Internet, or named by the operator, and then not on a link of ours")
    func certificate() throws {
        var settings = OnlineStatusSettings()
        let first = try settings.target(of: Self.place).get()
        #expect(first.rule == .publicOnly && first.url == HTTPURL("http://ocsp.example.org/a"))
        settings.allowedHosts = ["other.example.org"]
        let second = try settings.target(of: Self.place).get()
        #expect(second.rule == .publicOrPrivate && second.url.host == "other.example.org")
        settings.allowedHosts = ["example.org"]
        #expect(throws: OnlineStatusSettings.NoTarget.hostNotAllowed("ocsp.example.org")) {
            try settings.target(of: Self.place).get()
        }
    }

    @Test("a certificate without an http URL names nobody")
    func nowhere() {
        for texts in [[], ["https://ocsp.example.org/"], ["http://user@ocsp.example.org/"]] {
            #expect(throws: OnlineStatusSettings.NoTarget.noPlace) {
                try OnlineStatusSettings().target(of: .certificate(texts)).get()
            }
        }
    }
}

@Suite("What OCSP responders said is remembered")
struct OnlineStatusCacheTests {
    private static let time = CertificateVectors.time

    private static func finding(
        _ answer: String, about name: String = "client", at time: Int64 = time
    ) throws -> IKEStatusFinding {
        let bytes = CertificateVectors.answer("ocsp/\(answer)")
        return try finding(about: name) { request, trust throws(OnlineStatusError) in
            try OnlineStatusResponse(der: bytes, to: request, trust: trust, at: time)
        }
    }

    private static func finding(
        about name: String,
        _ response: (OnlineStatusRequest, CertificateTrust) throws(OnlineStatusError) -> OnlineStatusResponse
    ) throws -> IKEStatusFinding {
        var generator = SystemRandom()
        let issuer = try CertificateVectors.certificate("ocsp/issuer")
        let request = try OnlineStatusRequest(
            about: CertificateVectors.certificate("ocsp/\(name)"), issuedBy: issuer, using: &generator)
        let trust = try CertificateTrust(authorities: [issuer])
        do throws(OnlineStatusError) {
            return IKEStatusFinding(request: request, response: .success(try response(request, trust)))
        } catch {
            return IKEStatusFinding(request: request, response: .failure(.notBelieved(error)))
        }
    }

    @Test("a good answer for a day at most, one of an unknown certificate for a minute, a failure for half one")
    func times() throws {
        let cases: [(String, String, Int64)] = [
            ("good", "client", OnlineStatusCache.answerSecondsMaximum), ("unknown", "unknown", 60),
            ("good-expired", "client", 30),
        ]
        for (answer, name, seconds) in cases {
            var cache = OnlineStatusCache()
            let finding = try Self.finding(answer, about: name)
            let bytes = CertificateVectors.answer("ocsp/\(answer)")
            cache.learn(finding, from: .received(bytes), isNew: true, at: Self.time)
            let expected: OnlineStatusCache.Entry =
                answer == "good-expired" ? .failure(.notBelieved(.expired)) : .answer(bytes)
            #expect(cache.entry(finding.request.subject, at: Self.time + seconds - 1) == expected)
            #expect(cache.entry(finding.request.subject, at: Self.time + seconds) == nil && cache.count == 0)
        }
    }

    @Test("an answer is not kept beyond the time of the next")
    func nextUpdate() throws {
        var cache = OnlineStatusCache()
        // By the issuer itself: its delegate's certificate ends before this answer does.
        let next = try #require(try Self.finding("good-issuer").response.get().nextUpdate)
        let finding = try Self.finding("good-issuer", at: next - 100)
        cache.learn(finding, from: .received([1]), isNew: true, at: next - 100)
        #expect(cache.entry(finding.request.subject, at: next - 1) == .answer([1]))
        #expect(cache.entry(finding.request.subject, at: next) == nil)
    }

    @Test("what memory says is not learned anew, and forgotten when it holds no longer")
    func kept() throws {
        var cache = OnlineStatusCache()
        let good = try Self.finding("good")
        cache.learn(good, from: .received([1]), isNew: true, at: Self.time)
        cache.learn(good, from: .kept([1]), isNew: false, at: Self.time + 50)
        #expect(cache.entry(good.request.subject, at: Self.time + OnlineStatusCache.answerSecondsMaximum) == nil)
        cache.learn(good, from: .received([1]), isNew: true, at: Self.time)
        let bad = try Self.finding("good-expired")
        #expect(bad.request.subject == good.request.subject)
        cache.learn(bad, from: .kept([1]), isNew: false, at: Self.time)
        #expect(cache.count == 0)
        // From memory, too: it must not prolong itself.
        cache.learn(bad, from: .none(.noAnswer("why")), isNew: false, at: Self.time)
        #expect(cache.count == 0)
    }

    @Test("memory is bounded, in entries and in bytes; what ends first goes first")
    func bounds() throws {
        var cache = OnlineStatusCache()
        let issuer = try CertificateVectors.certificate("ocsp/issuer")
        let large = [UInt8](repeating: 0, count: OnlineStatusCache.answerBytesMaximum + 1)
        cache.learn(try Self.finding("good"), from: .received(large), isNew: true, at: Self.time)
        #expect(cache.count == 0)
        let first = try Self.finding("good")
        cache.learn(first, from: .received([1]), isNew: true, at: Self.time)
        // Certificates that differ in a byte of the signature: nobody looks at it here.
        var der = try CertificateVectors.certificate("ocsp/client").der
        var generator = SystemRandom()
        for number in 0..<(OnlineStatusCache.entriesMaximum + 10) {
            der[der.count - 1] = UInt8(number & 0xff)
            der[der.count - 2] = UInt8(number >> 8)
            let request = try OnlineStatusRequest(
                about: Certificate(der: der), issuedBy: issuer, using: &generator)
            let finding = IKEStatusFinding(request: request, response: .failure(.noAnswer("\(number)")))
            cache.learn(finding, from: .none(.noAnswer("\(number)")), isNew: true, at: Self.time)
        }
        #expect(cache.count == OnlineStatusCache.entriesMaximum)
        #expect(cache.entry(first.request.subject, at: Self.time) == .answer([1]))
    }
}
