import Cryptography
import IKE
import Wire

/// A client as data: what it says in its messages, byte for byte.
struct RealClient: Sendable, CustomStringConvertible {
    /// Whose program writes the offers: each has its own order and encoding of attributes.
    enum Program: Sendable {
        /// Lives in four bytes, at the end of phase 1's attributes and at the beginning of phase 2's.
        case windows
        /// Lives first, in two bytes where they fit: macOS, iOS, Android.
        case racoon
        /// Lives last, in two bytes: ChromeOS, NetworkManager.
        case charon
        /// Lives first, in two bytes, the key length last: openswan and libreswan.
        case pluto
    }

    struct PhaseOne: Sendable {
        var cipher: Int
        var bits: Int?
        var hash: Int
        var group: Int

        init(_ cipher: Int, _ bits: Int?, _ hash: Int, _ group: Int) {
            (self.cipher, self.bits, self.hash, self.group) = (cipher, bits, hash, group)
        }
    }

    struct PhaseTwo: Sendable {
        var transform: Int
        var bits: Int?
        var integrity: Int?

        init(_ transform: Int, _ bits: Int?, _ integrity: Int?) {
            (self.transform, self.bits, self.integrity) = (transform, bits, integrity)
        }
    }

    /// Aggressive mode: who it says it is, and the group that its public value is of.
    struct Aggressive: Sendable {
        var identity: [UInt8]
        var group: DiffieHellmanGroup
    }

    /// What must be chosen.
    struct Suites: Sendable, Equatable {
        var ike: String
        var esp: String
    }

    var description: String
    let program: Program
    var phaseOne: [PhaseOne]
    var phaseOneSeconds: Int
    var vendorIDs: [[UInt8]]
    var phaseTwo: [PhaseTwo]
    var phaseTwoSeconds: Int
    var phaseTwoKilobytes: Int?
    /// What is chosen under each profile that lets it in.
    var accepted: [IKEProfile: Suites]
    var speaksNATTraversal = true
    /// Payload numbers 130 and 131 and encapsulation 61444, rather than 20, 21 and 4.
    var usesDraftNumbers = false
    var originalAddressCount = 2
    /// What stands in the reserved bytes of NAT-OA.
    var originalAddressReserved: [UInt8] = [0, 0, 0]
    /// The bytes of a nonce.
    var nonceLength = 16
    /// Protocol and port of the phase-1 identity.
    var identityPort: [UInt8] = [17, 1, 244]
    /// The port of IDci.
    var ownPort = 1701
    /// A name in IDci rather than an address.
    var ownName: String?
    /// Message ids that count up from 1.
    var countsMessageIDs = false
    var sendsInitialContact = false
    var aggressive: Aggressive?

    // MARK: - Bytes

    private static func seconds(_ type: Int, _ duration: Int, _ value: Int, isLong: Bool) -> [UInt8] {
        basic(type, 1) + (isLong || value > 0xffff ? long(duration, value) : basic(duration, value))
    }

    /// The attributes of a transform of phase 1, in the program's order.
    private func attributes(_ offer: PhaseOne) -> [UInt8] {
        let life = Self.seconds(11, 12, phaseOneSeconds, isLong: program == .windows)
        let cipher = basic(1, offer.cipher)
        let bits = offer.bits.map { basic(14, $0) } ?? []
        let (hash, method, group) = (basic(2, offer.hash), basic(3, 1), basic(4, offer.group))
        return switch program {
        case .windows, .charon: cipher + bits + hash + group + method + life
        case .racoon: life + cipher + bits + method + hash + group
        case .pluto: life + cipher + hash + method + group + bits
        }
    }

    /// The attributes of a transform of phase 2, in the program's order.
    private func attributes(_ offer: PhaseTwo, mode: Int) -> [UInt8] {
        var life = Self.seconds(1, 2, phaseTwoSeconds, isLong: program == .windows)
        if let kilobytes = phaseTwoKilobytes { life += basic(1, 2) + long(2, kilobytes) }
        let bits = offer.bits.map { basic(6, $0) } ?? []
        let integrity = offer.integrity.map { basic(5, $0) } ?? []
        let encapsulation = basic(4, mode)
        return switch program {
        case .windows: life + encapsulation + integrity + bits
        case .racoon: life + encapsulation + bits + integrity
        case .charon: bits + integrity + encapsulation + life
        case .pluto: encapsulation + life + integrity + bits
        }
    }

    /// The SA payload of phase 1.
    var offer: [UInt8] { Offers.offer(phaseOne.map { attributes($0) }) }

    /// The SA payload of quick mode: Windows has a proposal for each transform, all others have one for all.
    func quickOffer(spi: [UInt8], mode: Int) -> [UInt8] {
        let transforms = phaseTwo.map { (id: $0.transform, attributes: attributes($0, mode: mode)) }
        guard program == .windows else {
            return securityAssociation(proposal(number: 1, protocolID: 3, spi: spi, last: true, transforms: transforms))
        }
        return securityAssociation(
            transforms.enumerated().flatMap { index, transform in
                proposal(
                    number: index + 1, protocolID: 3, spi: spi, last: index == transforms.count - 1,
                    transforms: [transform])
            })
    }

    // MARK: - A client of it

    /// The settings of one that believes to be at `own` and dials `server`.
    func settings(own: IPv4Address, server: IPv4Address = gatewayAddress) -> TestInitiator.Settings {
        var settings = TestInitiator.Settings()
        settings.offer = offer
        settings.vendorIDs = vendorIDs
        settings.natTraversal = speaksNATTraversal
        settings.usesDraftNumbers = usesDraftNumbers
        (settings.own, settings.server) = (Endpoint(own, 500), Endpoint(server, 500))
        settings.identity = aggressive?.identity ?? [1] + identityPort + own.octets
        settings.aggressiveGroup = aggressive?.group
        settings.sendsInitialContact = sendsInitialContact
        settings.originalAddressCount = originalAddressCount
        settings.originalAddressReserved = originalAddressReserved
        (settings.nonceLength, settings.quickNonceLength) = (nonceLength, nonceLength)
        let identity: [UInt8] =
            ownName.map { [2] + [17] + be16(ownPort) + Array($0.utf8) } ?? [1, 17] + be16(ownPort) + own.octets
        settings.selectors = [identity, [1, 17] + be16(1701) + server.octets]
        settings.quickOffer = { self.quickOffer(spi: $0, mode: $1) }
        return settings
    }

    /// The value of the encapsulation attribute, through a NAT or not.
    func encapsulation(isTranslated: Bool) -> Int {
        isTranslated && speaksNATTraversal ? (usesDraftNumbers ? 61444 : 4) : 2
    }
}
