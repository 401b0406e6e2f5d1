import IO
import Logging
import Wire

/// The doors by which operators ask: the socket of this machine and, where the operator wants it, the API.
final class OperatorDoors: Sendable {
    private let socket: OperatorSocket
    private let api: (listener: APIListener, access: OperatorAPI, settings: OperatorAPISettings)?
    private let log: Logger

    /// Opens them; requests go to `plane`.
    init(socketPath: String, api settings: OperatorAPISettings?, plane: ControlActor, log: Logger) throws {
        self.log = log
        socket = try OperatorSocket(path: socketPath, on: plane.loop) { line, respond in
            plane.assumeIsolated { respond($0.answer(line)) }
        }
        do {
            api = try settings.map { settings in
                let access = OperatorAPI(settings.tokens)
                let listener = try Self.listen(settings, access, plane, log)
                return (listener, access, settings)
            }
        } catch {
            socket.close()
            throw error
        }
        plane.loop.execute { [weak self] in
            plane.assumeIsolated { $0.count { [weak self] in self?.drops ?? [:] } }
        }
    }

    private static func listen(
        _ settings: OperatorAPISettings, _ access: OperatorAPI, _ plane: ControlActor, _ log: Logger
    ) throws -> APIListener {
        var limits = APILimits()
        limits.bodyBytesMaximum = OperatorService.requestBytesMaximum
        let listener = try APIListener(settings.listen, certificate: try settings.loadCertificate(), limits: limits) {
            request, respond in
            switch access.decide(request, now: SystemClock.now) {
            case .answer(let response): respond(response)
            case .ask(let asked, let holder):
                if asked.isChange {
                    log.notice("asked by the API", metadata: ["command": "\(asked.name)", "by": "\(holder)"])
                }
                plane.loop.execute { plane.assumeIsolated { respond(OperatorAPI.response($0.answer(asked))) } }
            case .askForMetrics:
                plane.loop.execute { plane.assumeIsolated { respond(OperatorAPI.metrics($0.answer(.statistics))) } }
            }
        }
        log.notice("operators are answered", metadata: ["at": "https://\(settings.listen)"])
        return listener
    }

    /// How many requests were refused, by name.
    private var drops: [String: UInt64] {
        var drops: [String: UInt64] = [:]
        for reason in OperatorSocketDrop.allCases { drops["socket.\(reason)"] = UInt64(socket.drops(reason)) }
        guard let api else { return drops }
        for reason in APIDrop.allCases { drops["api.\(reason)"] = UInt64(api.listener.drops(reason)) }
        for (reason, count) in api.access.drops.nonzero { drops["api.\(reason)"] = count }
        return drops
    }

    /// Reads the API's certificate anew; one that does not do leaves the old one where it is.
    func renewCertificate() {
        guard let api else { return }
        do {
            api.listener.replace(try api.settings.loadCertificate())
        } catch {
            log.error("the API keeps its old certificate", metadata: ["because": "\(error)"])
        }
    }

    /// Closes them. To be called by another thread than the control loop's.
    func close() {
        socket.close()
        api?.listener.close()
    }
}
