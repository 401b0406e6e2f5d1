// What is said about IKE, certificates and IPsec.
extension FailureAdvice {
    // MARK: - Phase 1

    static let noProposalChosen = FailureAdvice(
        "None of the algorithms that the client offers for IKE is accepted here.",
        sees: [
            .windows(.processingError), .appleNoResponse,
            .linux("received NO_PROPOSAL_CHOSEN error notify"),
        ],
        gateway: "accept one of its offers: `ike.ciphers`, `ike.hashes`, `ike.groups`, `authentication`, or another "
            + "`profile`",
        client: "offer what is accepted: update the client, or set its phase 1 algorithms")
    static let preSharedKeyMismatch = FailureAdvice(
        "The client does not know the pre-shared key: what it sent does not decrypt with ours.",
        sees: [
            .windows(.processingError), .appleNoResponse, .linux("received AUTHENTICATION_FAILED error notify"),
        ],
        gateway: "compare `psk`, or in `keys` the one for its network or name; a change takes a restart",
        client: "enter the pre-shared key again (\"shared secret\" on macOS and iOS), without blanks at its ends")
    static let preSharedKeyOfOtherIdentity = FailureAdvice(
        "The client knows a pre-shared key, but one that is for another identity than the one that it gives.",
        sees: [.windows(.processingError), .appleNoResponse, .linux("received AUTHENTICATION_FAILED error notify")],
        gateway: "in `keys` give the key that it uses the identity that the detail names, or none for all of a network",
        client: "give it the key of its own identity, or the identity of its key (strongSwan: leftid)")
    static let noPreSharedKey = FailureAdvice(
        "The client wants to use a pre-shared key, and none is configured for its address.",
        sees: [.windows(.processingError), .appleNoResponse, .linux("received NO_PROPOSAL_CHOSEN error notify")],
        gateway: "give one: `psk` for all, or in `keys` one for its network",
        client: "use a certificate, if that is what it has")
    static let unknownIdentity = FailureAdvice(
        "The client names a group or an identity that is not configured.",
        sees: [.appleNoResponse],
        gateway: "add the name to `aggressiveMode.groups`, or to `keys` as an identity",
        client: "correct the group name (macOS, iOS) or IPsec identifier (Android), or leave it empty")
    static let aggressiveModeDisabled = FailureAdvice(
        "The client asks for aggressive mode, which is off here.",
        sees: [.appleNoResponse],
        gateway:
            "leave it off if you can: whoever asks gets a hash of the key to try guesses on; `aggressiveMode.groups` "
            + "turns it on for the groups that it names",
        client: "leave the group name (macOS, iOS) or IPsec identifier (Android) empty; on routers choose main mode")
    static let aggressiveModeUnanswered = FailureAdvice(
        "The client got our answer in aggressive mode and went no further: as a rule its key for the group is another "
            + "one, which it found out first.",
        sees: [.appleNoResponse],
        gateway: "compare the `psk` of the group in `aggressiveMode.groups`",
        client: "enter the shared secret of the group again; see that UDP 4500 is not blocked on the way")
    static let publicValueRefused = FailureAdvice(
        "The client's Diffie-Hellman value must not be used: it is broken, or attacks.",
        client: "update the client; if nobody knows it, it was no client")
    static let authenticationNeverCame = FailureAdvice(
        "The client exchanged keys and then fell silent: its next, larger message did not get here. As a rule UDP 4500 is "
            + "blocked on the way, or fragments of large packets are lost.",
        sees: [.windows(.serverDoesNotRespond), .windows(.processingError), .appleNoResponse],
        gateway:
            "let UDP 4500 in, at the host's firewall and at every router or cloud firewall in front; in a container "
            + "publish 4500/udp",
        client: "let UDP 4500 out at its router or firewall; try another network, such as a phone's; with certificates "
            + "lower the MTU or use smaller certificates")
    static let addressSlowed = FailureAdvice(
        "So many attempts of this address failed that it is answered only every few seconds: this one was not.",
        sees: [.windows(.serverDoesNotRespond), .appleNoResponse],
        gateway: "nothing: see the records of this address for why its attempts fail, and mend that",
        client: "stop dialling automatically until that is mended; then it works again after some seconds")
    static let ikeLimitReached = FailureAdvice(
        "The gateway keeps as many IKE SAs as it may.",
        sees: [.windows(.serverDoesNotRespond), .appleNoResponse],
        gateway: "see with `culvert statistics` who uses them up; use a second gateway when they are all real")
    static let exchangeUnsupported = FailureAdvice(
        "The client asks for an exchange that the gateway does not speak, such as IKEv2, XAUTH or mode configuration.",
        client: "choose L2TP over IPsec with IKEv1 instead of IKEv2 or \"Cisco IPsec\"")
    static let initiationUnanswered = FailureAdvice(
        "The gateway began, and the other end did not answer or refused.",
        gateway: "see whether address, key and algorithms are those of the other end",
        client: "see in its log why it does not answer; let UDP 500 and UDP 4500 through")

    static let otherIdentity = FailureAdvice(
        "The gateway began, and the other end proved to be somebody else than it is configured to be.",
        gateway: "correct the identity of that end", client: "give it the identity that the gateway expects")

    // MARK: - Certificates

    private static let certificateSymptoms: [ClientSymptom] = [
        .windows(.processingError), .linux("received AUTHENTICATION_FAILED error notify"),
    ]

    static let noCertificate = FailureAdvice(
        "The client signs and sent no certificate that says whose the signature is.", sees: certificateSymptoms,
        client: "have it send its certificate (strongSwan: leftsendcert=always; libreswan: leftsendcert=always)")
    static let malformedCertificate = FailureAdvice(
        "The client's certificate cannot be read.", sees: certificateSymptoms,
        client: "install its certificate anew: X.509 in DER or in a PKCS#7 bundle")
    static let certificateExpired = FailureAdvice(
        "The client's certificate, or one that it depends on, has expired.", sees: certificateSymptoms,
        gateway: "look at the clock (`date`); if an intermediate one in `certificates.ca` has expired, renew it",
        client: "renew its certificate")
    static let certificateNotYetValid = FailureAdvice(
        "The client's certificate, or one that it depends on, is not valid yet.", sees: certificateSymptoms,
        gateway: "look at the clock: `date`", client: "wait, or have the certificate issued again with an earlier start"
    )
    static let unknownAuthority = FailureAdvice(
        "Nobody whom the gateway trusts has issued the client's certificate.", sees: certificateSymptoms,
        gateway: "if it should come in, put the certificate of its authority, or the intermediate one that it does not "
            + "send, into `certificates.ca`",
        client: "use a certificate of an authority that the gateway trusts, and send the intermediate ones with it")
    static let certificateRevoked = FailureAdvice(
        "The client's certificate, or one that it depends on, has been revoked.", sees: certificateSymptoms,
        gateway:
            "nothing, unless it was revoked by mistake: then put the authority's newer list into `certificates.crl`",
        client: "have a new certificate issued")
    static let revocationUnknown = FailureAdvice(
        "Whether the client's certificate is revoked cannot be found out, and must be.", sees: certificateSymptoms,
        gateway: "put a list that has not expired, of every authority in the chain, into `certificates.crl`, or set "
            + "`certificates.requireRevocationCheck` to false")
    static let noStatusAnswer = FailureAdvice(
        "The responder that knows whether the client's certificate is revoked (OCSP) gave no answer that counts in time.",
        sees: certificateSymptoms,
        gateway: "see that the responder can be reached from the gateway and is the one in `certificates.ocsp`; "
            + "`culvert statistics` counts its answers (ocsp.*)")
    static let wrongName = FailureAdvice(
        "The client's certificate is not for the name that the client gives, or that name may not come in.",
        sees: certificateSymptoms,
        gateway: "add its name to `certificates.clientIdentities` if it should come in",
        client: "let it name itself as its certificate does (subject, or a subjectAltName), or get one for its name")
    static let wrongUsage = FailureAdvice(
        "The client's certificate is for another use.", sees: certificateSymptoms,
        client:
            "have it issued with key usage digitalSignature and extended key usage clientAuth or IPsec, or without any")
    static let badSignature = FailureAdvice(
        "The client's signature is not that of its certificate's key, or one in its chain is wrong.",
        sees: certificateSymptoms,
        client: "see that certificate and private key belong together; import both again from one PKCS#12 file")
    static let weakKey = FailureAdvice(
        "A key or a signature algorithm in the client's chain is too weak.", sees: certificateSymptoms,
        gateway: "with `profile` legacy weaker ones count too (RSA below 2048 bits, SHA-1)",
        client: "have a certificate issued with RSA of 2048 bits or more, or EC P-256, and SHA-256")
    static let invalidChain = FailureAdvice(
        "The client's chain of certificates is too long or contradicts itself.", sees: certificateSymptoms,
        client: "send only its own certificate and the intermediate ones up to the authority")

    // MARK: - Phase 2

    static let noIPsecProposalChosen = FailureAdvice(
        "None of the algorithms that the client offers for IPsec is accepted here.",
        sees: [
            .windows(.processingError), .appleNoResponse, .linux("received NO_PROPOSAL_CHOSEN error notify"),
        ],
        gateway: "accept one of its offers: `esp.ciphers`, `esp.integrity`, `ike.groups` for PFS, or another `profile`",
        client: "offer ESP in transport mode with what is accepted: update the client, or set its phase 2 algorithms")
    static let selectorsRefused = FailureAdvice(
        "The client asks for other traffic than L2TP of one host, or than a tunnel of its own has: other networks, or "
            + "another protocol than UDP. The detail says what it asked for.",
        sees: [.linux("received INVALID_ID_INFORMATION error notify")],
        gateway: "give the peer a tunnel with this traffic, or more; one before whom a NAT is needs its identity there",
        client: "set up L2TP over IPsec in transport mode (protocol UDP, port 1701), not a tunnel between networks")
    static let declinedByGateway = FailureAdvice(
        "The gateway took no more IPsec SAs: it is being shut down, or a worker has as many as it can.",
        gateway: "see with `culvert statistics` how many there are; dial again when it has started")
    static let malformedQuickMode = FailureAdvice(
        "The client's request for IPsec breaks the protocol.",
        client: "update the client; the detail says what is wrong with its message")
    static let quickModeNeverCame = FailureAdvice(
        "The client authenticated in IKE, and never asked for IPsec. It may not believe the gateway: its certificate, its "
            + "name or its address.",
        sees: [.windows(.processingError), .appleNoResponse],
        gateway: "behind a NAT or a port map set `publicAddress` to what clients dial; with certificates put that name "
            + "into the gateway's own as a subjectAltName",
        client: "see in its log what it says to message 6; let it trust the gateway's authority")
    static let quickModeUnfinished = FailureAdvice(
        "The client asked for IPsec, got an answer, and neither confirmed nor used it.",
        sees: [.windows(.serverDoesNotRespond), .appleNoResponse],
        gateway: "behind a NAT or a port map set `publicAddress` to what clients dial",
        client: "see in its log what it says to our answer; try another network")
    static let espNeverCame = FailureAdvice(
        "The IPsec SAs are there, and no packet ever came in them: ESP is blocked on the way.",
        sees: [.windows(.serverDoesNotRespond), .appleNoResponse],
        gateway:
            "let ESP (IP protocol 50) and UDP 4500 in at every firewall in front; in a container, where protocol 50 "
            + "does not pass a port map, set `publicAddress`, so that clients use UDP 4500",
        client:
            "let ESP and UDP 4500 out; on Windows see that no other VPN program or registry setting (ProhibitIpSec) "
            + "sends L2TP past IPsec")
    static let tunnelNeverCame = FailureAdvice(
        "IPsec works, and the client never asked for an L2TP tunnel in it.",
        sees: [.windows(.serverDoesNotRespond), .appleNoResponse],
        client:
            "see that the connection is L2TP over IPsec and not IPsec alone; on Linux see that xl2tpd runs and that "
            + "its packets (UDP 1701) go into IPsec")
}
