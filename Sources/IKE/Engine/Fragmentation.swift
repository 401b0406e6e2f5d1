import Wire

// Fragments of IKE messages, in both directions.
extension IKEEngine {
    /// Which message a fragment belongs to. The endpoint is in it so that nobody elsewhere can spoil it; the message id
    /// too, although most send zero.
    struct FragmentKey: Hashable, Sendable {
        let cookies: IKECookies
        let remote: Endpoint
        let messageID: UInt32
        let id: UInt16
    }

    /// A message that is being put together.
    struct PartialMessage: Sendable {
        let key: FragmentKey
        var fragments = FragmentCollection()
    }

    /// Takes in a fragment, and returns the whole message when it is there.
    mutating func receiveFragment(_ message: Incoming, now: Instant) throws(IKEDrop) -> Incoming? {
        let chain = try PayloadChain(parsing: message.body, first: message.header.nextPayload, padded: false, limit: 1)
        guard let body = chain[.fragment] else { throw .missingPayload }
        let fragment = try FragmentPayload(parsing: body)
        let cookies = message.header.cookies
        // Who has not even the cookie of an exchange may be anybody: few of these, so that they take no memory.
        // Of an exchange that we have begun, who was called has the first half of the cookies.
        let isCalled = initiated(cookies).map { $0.0.path.remote.address == message.path.remote.address } ?? false
        let isKnown = isCalled || association(of: cookies) != nil
        guard isKnown || cookies.responder == 0 else { throw .unknownCookies }
        let key = FragmentKey(
            cookies: cookies, remote: message.path.remote, messageID: message.header.messageID, id: fragment.id)
        let token = partialMessage(key, isKnown: isKnown, now: now)
        do throws(IKEDrop) {
            let limits = limits
            guard let bytes = try partialMessages[token]?.fragments.add(fragment, limits: limits) else { return nil }
            forgetPartialMessage(token)
            let whole = try Self.message(bytes, path: message.path)
            guard whole.header.cookies == cookies, whole.header.nextPayload != .fragment else {
                throw .malformedFragment
            }
            return whole
        } catch {
            if error == .tooManyFragments { forgetPartialMessage(token) }
            throw error
        }
    }

    /// The message of `key`, the oldest of others making room for it where a limit is reached.
    private mutating func partialMessage(_ key: FragmentKey, isKnown: Bool, now: Instant) -> UInt64 {
        if let token = partialMessagesByKey[key] { return token }
        let address = key.remote.address
        let maximum = isKnown ? limits.partialMessagesMaximum : limits.partialFirstMessagesMaximum
        let perAddress =
            isKnown ? limits.partialMessagesPerAddressMaximum : limits.partialFirstMessagesPerAddressMaximum
        while let oldest = partialArrivals(isKnown).count(of: address) >= perAddress
            ? partialArrivals(isKnown).oldest(of: address) : nil
        {
            drops.count(.partialMessageEvicted)
            forgetPartialMessage(oldest)
        }
        while let oldest = partialArrivals(isKnown).count >= maximum ? partialArrivals(isKnown).oldest : nil {
            drops.count(.partialMessageEvicted)
            forgetPartialMessage(oldest)
        }
        lastPartialMessage &+= 1
        let token = lastPartialMessage
        partialMessages[token] = PartialMessage(key: key)
        partialMessagesByKey[key] = token
        if isKnown {
            partialKnown.append(token, address: address)
        } else {
            partialStrangers.append(token, address: address)
        }
        deadlines.set(.partialMessage(token), now + limits.exchangeLifetime)
        return token
    }

    private func partialArrivals(_ isKnown: Bool) -> ArrivalList { isKnown ? partialKnown : partialStrangers }

    /// Forgets what has come of a message.
    mutating func forgetPartialMessage(_ token: UInt64) {
        guard let partial = partialMessages.removeValue(forKey: token) else { return }
        partialMessagesByKey[partial.key] = nil
        partialKnown.remove(token)
        partialStrangers.remove(token)
        deadlines.remove(.partialMessage(token))
    }

    /// What to send for `message`: itself, or its fragments where it is long and the peer understands them.
    mutating func datagrams(_ message: [UInt8]) -> [[UInt8]] {
        guard message.count > limits.unfragmentedBytesMaximum, let header = try? Header(parsing: message),
            let association = association(of: header.cookies), association.capabilities.contains(.fragmentation)
        else { return [message] }
        lastFragmentID = lastFragmentID == .max ? 1 : lastFragmentID + 1
        let own = Header(cookies: header.cookies, exchange: association.exchange)
        return FragmentPayload.split(
            message, header: own, id: lastFragmentID, bytesMaximum: limits.unfragmentedBytesMaximum) ?? [message]
    }
}
