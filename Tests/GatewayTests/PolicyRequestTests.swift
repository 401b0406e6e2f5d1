import ESP
import Testing
import Wire

@testable import Gateway

private func read(_ line: String) throws -> OperatorRequest {
    try OperatorJSON.value(OperatorRequest.self, from: [UInt8](line.utf8))
}

@Suite("The operator's requests about policies")
struct PolicyRequestTests {
    @Test("every request is read as it was written")
    func codec() throws {
        let question = try PolicyQuestion(
            source: "192.0.2.7", destination: "198.51.100.1", transport: "udp", sourcePort: "5000",
            destinationPort: "161", connection: "lan")
        let requests: [PolicyRequest] = [
            .show, .export, .test(question), .set(use: "server", coversHost: nil),
            .set(use: "secure-server", coversHost: true), .add(text: "policy: {}", name: "a.yaml"),
            .remove(rule: "a \"rule\""), .replace(text: "policy:\n  use: client\n", name: "-"),
        ]
        for request in requests {
            let line = try OperatorJSON.line(OperatorRequest.policy(request))
            #expect(try OperatorJSON.value(OperatorRequest.self, from: line) == .policy(request))
        }
    }

    @Test(
        "a request with an unknown key, a missing one or a wrong value is refused",
        arguments: [
            #"{"command":"policy","all":true}"#,
            #"{"command":"policyExport","name":"x"}"#,
            #"{"command":"policySet"}"#,
            #"{"command":"policySet","use":"lockdown"}"#,
            #"{"command":"policySet","use":"server","cover":"host"}"#,
            #"{"command":"policySet","use":"server","covers":"all"}"#,
            #"{"command":"policyRemove","name":"x"}"#,
            #"{"command":"policyAdd","text":"policy: {}"}"#,
            #"{"command":"policyImport","text":7,"name":"x"}"#,
            #"{"command":"policyTest","source":"1.2.3.4","destination":"::1","protocol":"udp"}"#,
            #"{"command":"policyTest","source":"1.2.3.4","destination":"1.2.3.5","protocol":"any"}"#,
            #"{"command":"policyTest","source":"1.2.3.4","destination":"1.2.3.5","protocol":"udp","sourcePort":"x"}"#,
            #"{"command":"policyTest","source":"1.2.3.4","destination":"1.2.3.5","protocol":"icmp","sourcePort":"1"}"#,
            #"{"command":"policyTest","source":"1.2.3.4","destination":"1.2.3.5","protocol":"udp","connection":"wan"}"#,
            #"{"command":"policyTest","source":"a.example.org","destination":"1.2.3.5","protocol":"udp"}"#,
        ])
    func refused(line: String) { #expect(throws: (any Error).self) { try read(line) } }
}
