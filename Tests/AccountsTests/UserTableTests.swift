import Cryptography
import Testing
import Wire

@testable import Accounts

private let office = IPAddress.v4(IPv4Address(203, 0, 113, 7))
private let elsewhere = IPAddress.v4(IPv4Address(198, 51, 100, 9))

private func user(_ name: String, _ password: String = "secret", _ address: IPv4Address? = nil) -> User {
    User(name: name, password: SecretBytes(utf8: password), fixedAddress: address)
}

private func pap(_ password: String) -> CredentialProof { .pap(password: SecretBytes(utf8: password)) }

private enum Outcome: Equatable {
    case accepted(String)
    case unknownUser
    case wrongPassword
    case slowedDown
}

/// A table with a clock.
private final class Door {
    var table: UserTable
    var now = Instant.zero + .seconds(100_000)

    init(_ users: [User]) throws { table = try UserTable(users) }

    func knock(_ name: String, _ password: String, from address: IPAddress = office) -> Outcome {
        switch table.verify(user: name, proof: pap(password), from: address, now: now) {
        case .accepted(let user, _): .accepted(user.name)
        case .unknownUser: .unknownUser
        case .wrongPassword: .wrongPassword
        case .slowedDown: .slowedDown
        }
    }
}

@Suite struct UserTableTests {
    @Test("the right password lets in, a wrong one and an unknown user do not")
    func verdicts() throws {
        let door = try Door([user("alice"), user("bob", "other")])
        #expect(door.knock("alice", "secret") == .accepted("alice"))
        #expect(door.knock("alice", "other") == .wrongPassword)
        #expect(door.knock("carol", "secret") == .unknownUser)
        #expect(door.knock("", "") == .unknownUser)
        #expect(door.knock("Alice", "secret") == .unknownUser)
    }

    @Test("a domain in front or behind is taken off, unless the whole is a name")
    func domains() throws {
        let door = try Door([user("alice"), user("alice@example.org", "other"), user("CORP\\bob")])
        #expect(door.knock("CORP\\alice", "secret") == .accepted("alice"))
        #expect(door.knock("alice@corp", "secret") == .accepted("alice"))
        #expect(door.knock("alice@example.org", "other") == .accepted("alice@example.org"))
        #expect(door.knock("alice@example.org", "secret") == .wrongPassword)
        #expect(door.knock("CORP\\bob", "secret") == .accepted("CORP\\bob"))
        #expect(door.knock("bob", "secret") == .unknownUser)
        #expect(door.knock("CORP\\", "secret") == .unknownUser)
        #expect(door.knock("@corp", "secret") == .unknownUser)
    }

    @Test("MS-CHAPv2 brings the authenticator response along")
    func msChapV2() throws {
        var table = try UserTable([user("User", "clientPass")])
        let challenge = [UInt8](repeating: 1, count: 16)
        let exchange = MSCHAPv2(
            authenticatorChallenge: challenge, peerChallenge: challenge, userName: Array("User".utf8))
        let proof = CredentialProof.msChapV2(
            authenticatorChallenge: challenge, peerChallenge: challenge,
            ntResponse: try exchange.ntResponse(password: SecretBytes(utf8: "clientPass")), userName: Array("User".utf8)
        )
        guard case .accepted(_, let acceptance) = table.verify(user: "User", proof: proof, from: office, now: .zero)
        else {
            Issue.record("refused")
            return
        }
        #expect(acceptance.authenticatorResponse?.utf8.count == 42)
    }

    @Test("lists that make no sense are refused")
    func errors() {
        let address = IPv4Address(10, 0, 0, 1)
        #expect(throws: UserTableError.emptyName) { try UserTable([user("")]) }
        #expect(throws: UserTableError.emptyPassword(user: "a")) { try UserTable([user("a", "")]) }
        #expect(throws: UserTableError.duplicateName("a")) { try UserTable([user("a"), user("a", "x")]) }
        #expect(throws: UserTableError.duplicateAddress(address)) {
            try UserTable([user("a", "x", address), user("b", "x", address)])
        }
    }

    @Test("who guesses a user's password from one address is slowed; the user elsewhere, and others, notice nothing")
    func guessing() throws {
        let door = try Door([user("alice"), user("bob")])
        #expect(door.knock("bob", "secret") == .accepted("bob"))
        for _ in 0..<4 { #expect(door.knock("alice", "guess") == .wrongPassword) }
        #expect(door.knock("alice", "secret") == .slowedDown)
        #expect(door.knock("CORP\\alice", "secret") == .slowedDown)
        #expect(door.knock("alice", "secret", from: elsewhere) == .accepted("alice"))
        #expect(door.knock("bob", "secret") == .accepted("bob"))
        door.now += .seconds(1)
        #expect(door.knock("alice", "secret") == .accepted("alice"))
    }

    @Test("who tries one user after the other from an address slows that address, not those who are at home there")
    func manyUsers() throws {
        let door = try Door([user("alice"), user("bob")])
        #expect(door.knock("bob", "secret") == .accepted("bob"))
        var looked = 0
        for number in 0..<1000 {
            if door.knock("user\(number)", "guess") == .unknownUser { looked += 1 }
            door.now += .milliseconds(100)
        }
        // 100 s: twelve for nothing, then 1, 2, 4, ... seconds between two.
        #expect((13...20).contains(looked))
        #expect(door.knock("bob", "secret") == .accepted("bob"))
        #expect(door.knock("alice", "secret") == .slowedDown)
        #expect(door.knock("alice", "secret", from: elsewhere) == .accepted("alice"))
    }

    @Test("a good account does not buy new guesses at another")
    func goodAccount() throws {
        let door = try Door([user("mallory"), user("alice")])
        var looked = 0
        for _ in 0..<100 {
            if door.knock("alice", "guess") == .wrongPassword { looked += 1 }
            #expect(door.knock("mallory", "secret") == .accepted("mallory"))
        }
        #expect(looked == 4)
    }

    @Test("an unknown user costs about as much time as a wrong password")
    func timing() throws {
        let table = try UserTable((0..<100).map { user("user\($0)") })
        let challenge = [UInt8](repeating: 1, count: 16)
        let proof = CredentialProof.msChapV2(
            authenticatorChallenge: challenge, peerChallenge: challenge, ntResponse: [UInt8](repeating: 0, count: 24),
            userName: Array("x".utf8))
        let clock = ContinuousClock()
        var best = [Duration.seconds(10), .seconds(10)]
        // The best of many: what the machine does besides only ever adds.
        for _ in 0..<40 {
            for (index, name) in ["user7", "nobody"].enumerated() {
                var copy = table
                let time = clock.measure {
                    for round in 0..<20 {
                        let address = IPAddress.v4(IPv4Address(UInt32(round)))
                        _ = copy.verify(user: name, proof: proof, from: address, now: .zero)
                    }
                }
                best[index] = min(best[index], time)
            }
        }
        #expect(best[0] < best[1] * 2 && best[1] < best[0] * 2, "\(best)")
    }

    @Test("users can be replaced, and what was guessed is remembered")
    func replacing() throws {
        let door = try Door([user("alice")])
        for _ in 0..<4 { _ = door.knock("alice", "guess") }
        try door.table.replaceUsers([user("alice", "new", IPv4Address(10, 0, 0, 9)), user("bob")])
        #expect(door.table.count == 2)
        #expect(door.table.fixedAddresses == [IPv4Address(10, 0, 0, 9)])
        #expect(door.knock("alice", "new") == .slowedDown)
        #expect(throws: UserTableError.emptyName) { try door.table.replaceUsers([user("")]) }
        #expect(door.table.count == 2)
    }
}
