// What is said about L2TP, PPP, users and addresses.
extension FailureAdvice {
    // MARK: - L2TP

    static let tunnelSecretUnknown = FailureAdvice(
        "The client wants the gateway to prove that it knows an L2TP secret, and none is configured.",
        gateway: "set `l2tp.secret` to the client's, if every client can be given one",
        client: "leave L2TP's own secret (Android: \"L2TP secret\") and tunnel authentication off")
    static let tunnelSecretWrong = FailureAdvice(
        "The client does not know L2TP's own secret, which the gateway asks for.",
        gateway: "take `l2tp.secret` away unless every client has it: Windows, macOS and iOS cannot be given one",
        client: "enter L2TP's own secret (Android: \"L2TP secret\"; xl2tpd: challenge and the secrets file)")
    static let tunnelLimitReached = FailureAdvice(
        "The client has as many L2TP tunnels as one may have, or the gateway in all.",
        gateway: "raise `limits.tunnelsPerPeer`; `culvert tunnels` shows which there are",
        client: "a stock client needs one tunnel: see why it opens more")
    static let tunnelRequestRefused = FailureAdvice(
        "The client's request for an L2TP tunnel breaks the protocol.",
        client: "update the client; the detail says what is wrong with its message")
    static let tunnelUnfinished = FailureAdvice(
        "The client asked for an L2TP tunnel and did not finish it: our answers do not reach it, or it gave up.",
        sees: [.windows(.serverDoesNotRespond), .appleNoResponse],
        gateway: "see that nothing blocks what the gateway sends (ESP, UDP 4500)",
        client: "let ESP and UDP 4500 in at its firewall; try another network")
    static let tunnelClosedByClient = FailureAdvice(
        "The client closed its L2TP tunnel before anybody was in.",
        client: "the detail has the reason that it gave; see its log")
    static let callNeverCame = FailureAdvice(
        "The client has its L2TP tunnel and never placed a call in it.",
        client: "on Linux xl2tpd waits for a command: autodial=yes, or `xl2tpd-control connect-lac`")
    static let callRefused = FailureAdvice(
        "The client's call was refused: as many as one tunnel may have, or a request that breaks the protocol.",
        gateway: "raise `limits.sessionsPerTunnel` if several users share one tunnel",
        client: "the detail says what is wrong; outgoing calls (OCRQ) do not exist here")
    static let callUnfinished = FailureAdvice(
        "The client placed a call and did not finish it.", sees: [.windows(.serverDoesNotRespond)],
        client: "see its log; packets may be lost on the way")
    static let callClosedByClient = FailureAdvice(
        "The client closed its call before its user was in.",
        client: "the detail has the reason that it gave; see its log (on Linux pppd's)")
    static let sessionLimitReached = FailureAdvice(
        "As many sessions are connected as there may be.", sees: [.windows(.portDisconnected)],
        gateway: "raise `limits.sessions`, or hang somebody up with `culvert drop`")

    static let policyForbids = FailureAdvice(
        "A rule of the policy blocks L2TP from the client's address.", sees: [.windows(.portDisconnected)],
        gateway: "`culvert policy test CLIENT GATEWAY udp 1701` names the rule; change it in `policy.rules`")

    // MARK: - PPP

    static let linkUnanswered = FailureAdvice(
        "The client's PPP did not answer.",
        sees: [.windows(.pppTimeout)],
        gateway: "lower `ppp.mtu` if large packets are lost on the way",
        client: "on Linux see that pppd starts (/var/log/syslog); try another network")
    static let linkNotConverging = FailureAdvice(
        "The client and the gateway cannot agree on the PPP link.",
        sees: [.windows(.linkTerminated)],
        client: "take its PPP options back to their defaults: no multilink, no callback, no required encryption or "
            + "compression")
    static let linkLoopedBack = FailureAdvice(
        "What the gateway sends in PPP comes back to it.",
        client: "see that nothing on the client sends packets back; on Linux that pppd is not given its own output")
    static let noCommonAuthentication = FailureAdvice(
        "The client accepts none of the ways to authenticate that the gateway allows.",
        sees: [.windows(.linkTerminated), .windows(.portDisconnected)],
        gateway: "add what the client can to `ppp.authentication`: mschapv2, chap, pap",
        client:
            "allow MS-CHAPv2 (Windows: Properties > Security > Microsoft CHAP Version 2; not EAP); on Linux take away "
            + "refuse-mschap-v2, or what else refuses")
    static let authenticationUnanswered = FailureAdvice(
        "The client did not answer when it was asked for name and password in PPP.",
        sees: [.windows(.linkTerminated), .windows(.portDisconnected)],
        client: "enter user and password; a prompt may wait behind another window")
    static let wrongPassword = FailureAdvice(
        "The password is wrong.",
        sees: [.windows(.authenticationFailure), .linux("CHAP authentication failed")],
        gateway: "see the user's `password` in `users` (or VPN_PASSWORD); a change takes a restart",
        client: "enter the password again; capital letters count")
    static let unknownUser = FailureAdvice(
        "There is no user of this name.",
        sees: [.windows(.authenticationFailure), .linux("CHAP authentication failed")],
        gateway: "add the name to `users` (or VPN_USER, VPN_ADDL_USERS)",
        client: "enter the name again; capital letters count")
    static let guessesSlowed = FailureAdvice(
        "After too many wrong passwords from this address the attempt was not even looked at.",
        sees: [.windows(.authenticationFailure), .linux("CHAP authentication failed")],
        gateway:
            "nothing: each further failure doubles the wait, up to five minutes; fifteen quiet minutes forgive all",
        client: "correct the saved password, and wait before dialling again")
    static let userSessionLimitReached = FailureAdvice(
        "The user is connected as often as one user may be.",
        sees: [.windows(.authenticationFailure), .linux("CHAP authentication failed")],
        gateway: "raise `limits.sessionsPerUser`, or hang up the others with `culvert drop --user`",
        client: "hang up the other devices")
    static let noAddressFree = FailureAdvice(
        "No inner address is free.",
        sees: [.windows(.authenticationFailure), .linux("CHAP authentication failed")],
        gateway: "enlarge `l2tp.pool` (and `l2tp.network`), or hang somebody up with `culvert drop`")
    static let addressNotConverging = FailureAdvice(
        "The client and the gateway cannot agree on the inner address.",
        sees: [.windows(.noProtocolsConfigured)],
        client: "let the server assign the address; turn IPv4 (TCP/IP) on for the connection")
    static let addressRefused = FailureAdvice(
        "The client will not take the inner address that it is given.",
        gateway: "give the user the address that it insists on: `users`, `address`",
        client: "let the server assign the address")
    static let networkRefused = FailureAdvice(
        "The client wants no IPv4 in PPP.", sees: [.windows(.noProtocolsConfigured)],
        client: "turn IPv4 (TCP/IP) on for the connection")
    static let clientHungUp = FailureAdvice(
        "The client hung up in PPP before it was in.",
        client:
            "see its log; pppd does so when it is told to require MPPE (require-mppe), which IPsec makes needless; a "
            + "user may also just have cancelled")
    static let clientSilent = FailureAdvice(
        "The client fell silent in the middle of dialling in.",
        gateway: "lower `ppp.mtu` if large packets are lost on the way",
        client: "see whether it was switched off or lost its network; try another network")
    static let protocolViolated = FailureAdvice(
        "The client broke a protocol in the middle of dialling in.",
        client: "update the client; the detail says what is wrong")
}
