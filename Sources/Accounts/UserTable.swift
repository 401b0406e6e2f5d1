import Cryptography
import Wire

/// Somebody who may dial in.
public struct User: Sendable {
    /// The name, as he types it.
    public let name: String
    /// The password, UTF-8.
    public let password: SecretBytes
    /// The inner address that he always gets; nil: one from the pool.
    public let fixedAddress: IPv4Address?
    /// How much each of his sessions may move.
    public let rateLimits: RateLimits

    /// The user `name`.
    public init(
        name: String, password: SecretBytes, fixedAddress: IPv4Address? = nil, rateLimits: RateLimits = .none
    ) {
        (self.name, self.password, self.fixedAddress) = (name, password, fixedAddress)
        self.rateLimits = rateLimits
    }
}

/// Why a list of users cannot be used.
public enum UserTableError: Error, Equatable, Sendable {
    /// A user without a name.
    case emptyName
    /// A user without a password: anybody could guess it.
    case emptyPassword(user: String)
    /// Two users have the same name.
    case duplicateName(String)
    /// Two users have the same fixed address.
    case duplicateAddress(IPv4Address)
}

/// What came of an attempt to log in.
public enum AccountVerdict: Sendable {
    /// Let him in, as this user.
    case accepted(User, ProofAcceptance)
    /// Nobody has that name. The client is to hear the same as for a wrong password.
    case unknownUser
    /// The password is not his.
    case wrongPassword
    /// Too many wrong attempts before: not even looked at, to be tried again at the given time.
    case slowedDown(until: Instant)
}

/// The local users, and the brake on those who guess their passwords.
public struct UserTable: Sendable {
    private var users: [String: User]
    private var limiter: GuessLimiter<LoginGuess>
    /// Who has logged in from where, by its hash, and when: whoever guesses at a user's own address is not to keep him out. Two
    /// of one hash, a pair in 2^64, would be spared a delay.
    private var regulars: RecencyMap<Int, Instant>
    /// Checked when there is no such user, so that the time of the answer does not tell who exists.
    private let decoyPassword: SecretBytes

    /// The given users, and how hard those are slowed who guess.
    public init(_ users: [User], limits: GuessLimits = GuessLimits()) throws(UserTableError) {
        self.users = try Self.index(users)
        limiter = GuessLimiter(limits)
        regulars = RecencyMap(countMaximum: max(1, limits.entriesMaximum))
        decoyPassword = SecretBytes([UInt8](repeating: 0x2A, count: 12))
    }

    /// Takes a new list of users, with all that is remembered about guesses.
    public mutating func replaceUsers(_ users: [User]) throws(UserTableError) { self.users = try Self.index(users) }

    private static func index(_ users: [User]) throws(UserTableError) -> [String: User] {
        var table: [String: User] = [:]
        var addresses: Set<IPv4Address> = []
        for user in users {
            guard !user.name.isEmpty else { throw .emptyName }
            guard user.password.count > 0 else { throw .emptyPassword(user: user.name) }
            if let address = user.fixedAddress, !addresses.insert(address).inserted { throw .duplicateAddress(address) }
            guard table.updateValue(user, forKey: user.name) == nil else { throw .duplicateName(user.name) }
        }
        return table
    }

    /// How many users there are.
    public var count: Int { users.count }

    /// All fixed addresses, which the pool has to keep free.
    public var fixedAddresses: [IPv4Address] { users.values.compactMap(\.fixedAddress) }

    /// The user that a client means by `name`: the exact one, or else the one without the domain that Windows
    /// (`DOMAIN\name`) and others (`name@domain`) put around it.
    public func user(named name: String) -> User? {
        if let exact = users[name] { return exact }
        if let backslash = name.firstIndex(of: "\\"), let user = users[String(name[name.index(after: backslash)...])] {
            return user
        }
        return name.lastIndex(of: "@").flatMap { users[String(name[..<$0])] }
    }

    /// Whether the client at `address`, who calls himself `name`, has proved to be that user.
    public mutating func verify(
        user name: String, proof: CredentialProof, from address: IPAddress, now: Instant
    ) -> AccountVerdict {
        let user = user(named: name)
        // The brake goes by the account, so that DOMAIN\name and name share it.
        let guess = LoginGuess.pair(GuessSource(address), user: Self.brakeName(user?.name ?? name))
        let source = LoginGuess.source(GuessSource(address))
        let sourceBlock = isRegular(guess, now: now) ? nil : limiter.blocked(source, now: now)
        if let until = latest(limiter.blocked(guess, now: now), sourceBlock) { return .slowedDown(until: until) }
        let verdict = proof.verify(password: user?.password ?? decoyPassword)
        guard let user, case .accepted(let acceptance) = verdict else {
            limiter.noteFailure(guess, now: now)
            // A whole office can stand behind one address: it has more attempts, and is never stopped for long.
            limiter.noteFailure(source, leniency: Self.sourceLeniency, now: now)
            return user == nil ? .unknownUser : .wrongPassword
        }
        // Not the address: one good account must not buy new guesses at the others.
        limiter.noteSuccess(guess)
        regulars.setMostRecent(guess.hashValue, now)
        return .accepted(user, acceptance)
    }

    /// An address may fail four times as often as a pair before it is slowed, and waits a quarter of its time at most.
    static let sourceLeniency = 4
    /// Names are cut to this, so that what is remembered has a bound.
    static let brakeNameBytesMaximum = 64

    /// So long after a login, others' guesses from the same address do not slow that user down.
    static let regularMemory = Duration.seconds(7 * 86400)

    private func isRegular(_ guess: LoginGuess, now: Instant) -> Bool {
        regulars[guess.hashValue].map { now.since($0) < Self.regularMemory } ?? false
    }

    private static func brakeName(_ name: String) -> String {
        name.utf8.count <= brakeNameBytesMaximum
            ? name : String(decoding: name.utf8.prefix(brakeNameBytesMaximum), as: UTF8.self)
    }

    private func latest(_ left: Instant?, _ right: Instant?) -> Instant? {
        guard let left, let right else { return left ?? right }
        return max(left, right)
    }
}

/// Where guesses come from: an IPv4 address, or the 64 bits of an IPv6 address that one customer has to himself.
public struct GuessSource: Hashable, Sendable {
    private let address: IPAddress

    /// The source to which `address` belongs.
    public init(_ address: IPAddress) {
        self.address = if case .v6(let v6) = address { .v6(IPv6Address(high: v6.high, low: 0)) } else { address }
    }
}

/// What a user's brake is kept for.
enum LoginGuess: Hashable, Sendable {
    case source(GuessSource)
    case pair(GuessSource, user: String)
}
